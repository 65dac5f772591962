package inject

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/indelible-ci/indelible/pkg/result"
)

func TestResultSize(t *testing.T) {
	const (
		name      = "annotation indelible.dev/result-size "
		overLimit = ", but this installation's limit is 1048576 bytes (1 MiB) (limits.result): write less, pass it in a " +
			"workspace, or have the limit raised"
		wayOut = ": set the annotation to that or less on the TaskRun to run it anyway"
		tekton = "asks for results of 819200 bytes (800 KiB), but this Pod's results keep Tekton's own limit of 4096 bytes " +
			"(4 KiB), because "
	)
	same := func(tree) {}
	wrapped := func(pod tree) { at(pod, "spec", "containers", 0).(tree)["command"] = []any{"/vault"} }
	tests := map[string]struct {
		pod, size string
		change    func(tree)
		want      string
		reason    string
	}{
		"allow less than the limit":  {"one-step", "800Ki", same, "", ""},
		"allow as much as the limit": {"one-step", "1Mi", same, "", ""},
		"forbid more than the limit": {"one-step", "1048577", same, name + "asks for results of 1048577 " +
			"bytes (1 MiB)" + overLimit, "result_size_over_limit"},
		"forbid what is no size": {"one-step", "800KB", same, name + "must be a size such as 800Ki or 1Mi",
			"result_size_invalid"},
		"forbid an empty size": {"one-step", "", same, name + "must be a size such as 800Ki or 1Mi",
			"result_size_invalid"},
		"forbid a size out of bounds": {"one-step", "3Gi", same, name + "must be a size from 1 byte to 2Gi, " +
			"such as 800Ki or 1Mi", "result_size_invalid"},
		"forbid what an opted-out pod cannot have": {"opted-out", "800Ki", same, name + tekton +
			"the annotation indelible.dev/results disables it" + wayOut,
			"result_size_unavailable"},
		"forbid what Windows cannot have": {"windows", "800Ki", same, name + tekton + "it runs on Windows" + wayOut,
			"result_size_unavailable"},
		"forbid what SPIRE cannot have": {"spire", "800Ki", same, name + tekton + "Tekton is configured to sign " +
			"results with SPIRE" + wayOut, "result_size_unavailable"},
		"forbid what a wrapped step cannot have": {"one-step", "800Ki", wrapped, name + tekton +
			"a step's command is not /tekton/bin/entrypoint" + wayOut,
			"result_size_unavailable"},
		"allow what Tekton alone may have": {"opted-out", "4Ki", same, "", ""},
		"forbid a byte more than Tekton alone has": {"opted-out", "4097", same,
			name + "asks for results of 4097 bytes (4 " +
				"KiB), but this Pod's results keep Tekton's own limit of 4096 bytes (4 KiB), because the annotation " +
				"indelible.dev/results disables it" + wayOut, "result_size_unavailable"},
		"allow what sidecar logs may be set to":     {"sidecar-logs", "800Ki", same, "", ""},
		"allow any size where there are no results": {"no-results", "3Gi", same, "", ""},
		"allow any size where there are no results, opted out": {"no-results", "3Gi", func(pod tree) {
			at(pod, "metadata", "annotations").(tree)["indelible.dev/results"] = "disabled"
		}, "", ""},
		"allow anything of somebody else's pod": {"one-step", "3Gi", func(pod tree) {
			delete(pod["metadata"].(tree),
				"ownerReferences")
		}, "", ""},
	}
	settings := testSettings
	settings.Limits = result.DefaultLimits()
	for caseName, tc := range tests {
		t.Run(caseName, func(t *testing.T) {
			raw := edit(t, readPod(t, tc.pod), func(pod tree) {
				annotations, _ := at(pod, "metadata", "annotations").(tree)
				annotations["indelible.dev/result-size"] = tc.size
				tc.change(pod)
			})
			registry := prometheus.NewPedanticRegistry()
			o := Options{Metrics: NewMetrics(registry), Settings: func() Settings { return settings }}
			if tc.want == "" {
				once, _ := handle(t, o, raw)
				handle(t, Options{Settings: o.Settings}, once) // and at the second call, injected or not
				return
			}
			if got := refused(t, o, raw); got != tc.want {
				t.Errorf("refused with %q, want %q", got, tc.want)
			}
			if diff := cmp.Diff(map[string]float64{"refused " + tc.reason: 1}, counted(t, registry)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
