package inject

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// TestSkips has one case per check, in the order of checks.go.
func TestSkips(t *testing.T) {
	same := func(tree) {}
	step := func(change func(c tree)) func(tree) {
		return func(pod tree) { change(at(pod, "spec", "containers", 0).(tree)) }
	}
	const cannotRead = "indelible: results of this Pod keep Tekton's own size limit: cannot read the arguments of " +
		"Tekton's entrypoint: "
	const keeps = "indelible: results of this Pod keep Tekton's own size limit: "
	tests := map[string]struct {
		pod     string
		change  func(pod tree)
		reason  string
		warning string
	}{
		"leaves alone a pod without the label": {"one-step", func(p tree) {
			delete(at(p, "metadata", "labels").(tree),
				"tekton.dev/taskRun")
		}, "not_taskrun", ""},
		"leaves alone a pod without an owner": {"one-step", func(p tree) {
			delete(p["metadata"].(tree),
				"ownerReferences")
		}, "not_taskrun", ""},
		"leaves alone a pod whose owner is no TaskRun": {"one-step",
			func(p tree) { at(p, "metadata", "ownerReferences", 0).(tree)["kind"] = "Run" },
			"not_taskrun", ""},
		"leaves alone a pod of another group's TaskRun": {"one-step",
			func(p tree) { at(p, "metadata", "ownerReferences", 0).(tree)["apiVersion"] = "tekton.example/v1" },
			"not_taskrun", ""},
		"leaves alone a pod that no owner controls": {"one-step", func(p tree) {
			delete(at(p, "metadata", "ownerReferences", 0).(tree),
				"controller")
		}, "not_taskrun", ""},
		"leaves alone a pod that is opted out":   {"opted-out", same, "opted_out", ""},
		"leaves alone a pod for Windows by node": {"windows", same, "windows", ""},
		"leaves alone a pod for Windows by its system": {"one-step",
			func(p tree) { p["spec"].(tree)["os"] = tree{"name": "windows"} },
			"windows", ""},
		"leaves alone a pod of sidecar logs": {"sidecar-logs", same, "sidecar_logs", ""},
		"leaves alone a pod with the sidecar logs' container": {"one-step", func(p tree) {
			at(p, "spec", "initContainers", 0).(tree)["name"] = "sidecar-tekton-log-results"
		}, "sidecar_logs", ""},
		"leaves alone a pod with SPIRE": {"spire", same, "spire", ""},
		"leaves alone a pod with SPIRE's volume": {"spire", step(func(c tree) { drop(c, "-enable_spire") }), "spire",
			""},
		"leaves alone a pod without results": {"no-results", same, "no_results", ""},
		"leaves alone a pod with an empty -results only": {"one-step", step(func(c tree) { swap(c, "digest", "") }),
			"no_results", ""},
		"leaves alone a step with another command": {"one-step",
			step(func(c tree) { c["command"] = []any{"/vault/vault-env"} }),
			"not_entrypoint", keeps + "a step's command is not /tekton/bin/entrypoint"},
		"leaves alone a step with more command": {"one-step", step(func(c tree) {
			c["command"] = []any{"/tekton/bin/entrypoint",
				"-x"}
		}), "not_entrypoint", keeps + "a step's command is not /tekton/bin/entrypoint"},
		"leaves alone a pod without steps": {"one-step", step(func(c tree) { c["name"] = "build" }), "not_entrypoint",
			keeps + "a step's command is not /tekton/bin/entrypoint"},
		"leaves alone arguments without an end": {"one-step", step(func(c tree) { drop(c, "--") }), "arguments",
			cannotRead + "container step-build: no -- ends the entrypoint's own arguments"},
		"leaves alone a step without a post file": {"one-step", step(func(c tree) {
			swap(c, "/tekton/run/0/out",
				"/tekton/run/x/out")
		}), "arguments", cannotRead + "container step-build: -post_file is not of the form /tekton/run/<step>/out"},
		"leaves alone steps of the same place": {"step-results-only", func(p tree) {
			swap(at(p, "spec", "containers", 1).(tree), "/tekton/run/1/out", "/tekton/run/0/out")
		}, "arguments", cannotRead + "steps first and second have the same -post_file"},
		"leaves alone steps that differ in results": {"multi-step",
			step(func(c tree) { swap(c, "digest,tags,url", "digest") }),
			"arguments", cannotRead + "steps fetch and build differ in -results"},
		"leaves alone a step result without a folder": {"step-results-only", step(func(c tree) {
			drop(c, "-step_metadata_dir")
			drop(c,
				"/tekton/run/0/status")
		}), "arguments",
			cannotRead + "container step-first: -step_results without -step_metadata_dir"},
		"leaves alone a pod with our volume's name": {"one-step", addVolume("indelible-bin"), "collision", keeps +
			"it already has a volume named indelible-bin"},
		"leaves alone a pod with our token's name": {"one-step", addVolume("indelible-token"), "collision", keeps +
			"it already has a volume named indelible-token"},
		"leaves alone a mount at our path": {"one-step", addMount("/indelible/bin/"), "collision", keeps +
			"its container step-build already mounts something at /indelible/bin/"},
		"leaves alone a mount above our path": {"one-step", addMount("/indelible"), "collision", keeps +
			"its container step-build already mounts something at /indelible"},
		"leaves alone a mount below our path": {"one-step", addMount("/indelible/token/x"), "collision", keeps +
			"its container step-build already mounts something at /indelible/token/x"},
		"leaves alone a device at our path": {"one-step", step(func(c tree) {
			c["volumeDevices"] = []any{tree{"name": "d", "devicePath": "/indelible/bin"}}
		}), "collision", keeps + "its container step-build already has a device at /indelible/bin"},
		"leaves alone a pod that cannot be decoded": {"one-step", func(p tree) { p["spec"].(tree)["volumes"] = "none" },
			"error", keeps + "internal error: decode pod: "},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			registry := prometheus.NewPedanticRegistry()
			after, response := handle(t, Options{Metrics: NewMetrics(registry)}, edit(t, readPod(t, tc.pod), tc.change))
			if hasPublisher(response) {
				t.Errorf("patched: %v", response.Patches)
			}
			wantVisible(t, after, tc.reason, tc.warning)
			if warning := strings.Join(response.Warnings, "\n"); !strings.HasPrefix(warning, tc.warning) ||
				tc.warning == "" &&
					warning != "" {
				t.Errorf("warning %q, want %q", warning, tc.warning)
			}
			if diff := cmp.Diff(map[string]float64{"skipped " + tc.reason: 1}, counted(t, registry)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// silent are the reasons that are not annotated on a Pod: it has no results, or it is not a
// TaskRun's Pod.
var silent = []string{"not_taskrun", "no_results", "error"}

// wantVisible checks what a Pod that was left alone says of it: the warning's text, where there is
// one.
func wantVisible(t *testing.T, after []byte, reason, warning string) {
	t.Helper()
	because := map[string]string{
		"opted_out": "the annotation indelible.dev/results disables it", "windows": "it runs on Windows",
		"sidecar_logs": "Tekton is configured to read results from a sidecar's log",
		"spire": "Tekton is configured to sign " +
			"results with SPIRE",
	}[reason]
	if because == "" {
		because = strings.TrimPrefix(warning, "indelible: results of this Pod keep Tekton's own size limit: ")
	}
	annotations, _ := at(parse(t, after), "metadata", "annotations").(tree)
	got := annotations["indelible.dev/not-injected"]
	if slices.Contains(silent, reason) && got != nil || !slices.Contains(silent, reason) && got != reason+": "+because {
		t.Errorf("annotation %v, want %s: %s", got, reason, because)
	}
}

// Tekton copies a TaskRun's annotations to its Pods, so that marks may be copies of what was true
// of another Pod.
func TestStaleMarks(t *testing.T) {
	stale := func(pod tree) {
		annotations := at(pod, "metadata", "annotations").(tree)
		annotations["indelible.dev/injected"], annotations["indelible.dev/not-injected"],
			annotations["indelible.dev/scripts"] = "yes",
			"windows: it is", "rechunked"
	}
	tests := map[string]struct {
		pod  string
		want tree
	}{
		"a pod that is injected": {"one-step", tree{"indelible.dev/injected": "image-volume"}},
		"a pod without results":  {"no-results", tree{}},
		"a pod that opted out": {"opted-out", tree{"indelible.dev/not-injected": "opted_out: the annotation " +
			"indelible.dev/results disables it"}},
		"a pod with a wrapped step": {"spire",
			tree{"indelible.dev/not-injected": "spire: Tekton is configured to sign " +
				"results with SPIRE"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			after, _ := handle(t, Options{}, edit(t, readPod(t, tc.pod), stale))
			got := tree{}
			for key, value := range at(parse(t, after), "metadata", "annotations").(tree) {
				if strings.HasPrefix(key, "indelible.dev/") && key != "indelible.dev/results" {
					got[key] = value
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A pod without results needs no word about them, whatever the reason it is left alone for.
func TestPodsWithoutResultsAreNotMarked(t *testing.T) {
	for name, change := range map[string]func(tree){
		"opted out": func(pod tree) { at(pod, "metadata", "annotations").(tree)["indelible.dev/results"] = "disabled" },
		"Windows":   func(pod tree) { pod["spec"].(tree)["os"] = tree{"name": "windows"} },
	} {
		t.Run(name, func(t *testing.T) {
			if _, response := handle(t, Options{},
				edit(t, readPod(t, "no-results"), change)); len(response.Patches) > 0 {
				t.Errorf("patched: %v", response.Patches)
			}
		})
	}
}

// drop takes one argument away, swap replaces one.
func drop(c tree, arg string) {
	c["args"] = slices.DeleteFunc(c["args"].([]any), func(v any) bool { return v == arg })
}

func swap(c tree, from, to string) {
	args := c["args"].([]any)
	args[slices.Index(args, any(from))] = to
}

func addVolume(name string) func(tree) {
	return func(pod tree) {
		spec := pod["spec"].(tree)
		spec["volumes"] = append(spec["volumes"].([]any), tree{"name": name, "emptyDir": tree{}})
	}
}

func addMount(path string) func(tree) {
	return func(pod tree) {
		c := at(pod, "spec", "containers", 0).(tree)
		c["volumeMounts"] = append(c["volumeMounts"].([]any), tree{"name": "theirs", "mountPath": path})
	}
}

// TestUnguarded: results are left to Tekton only while what guards their writing is not in place.
func TestUnguarded(t *testing.T) {
	const warning = "indelible: results of this Pod keep Tekton's own size limit: what guards the writing of results is " +
		"not all in place, as the readiness of indelible-webhook says"
	problem := errors.New("ValidatingAdmissionPolicy/indelible-results does not exist")
	registry := prometheus.NewPedanticRegistry()
	after, response := handle(t, Options{Metrics: NewMetrics(registry), Guarded: func() error { return problem }},
		readPod(t,
			"one-step"))
	if hasPublisher(response) || strings.Join(response.Warnings, "") != warning {
		t.Errorf("unguarded: patched %v, warnings %q", response.Patches, response.Warnings)
	}
	wantVisible(t, after, "unguarded", warning)
	if diff := cmp.Diff(map[string]float64{"skipped unguarded": 1}, counted(t, registry)); diff != "" {
		t.Error(diff)
	}
	if _, response := handle(t, Options{Guarded: func() error { return nil }},
		readPod(t, "one-step")); !hasPublisher(response) {
		t.Errorf("guarded: patched %v", response.Patches)
	}
}
