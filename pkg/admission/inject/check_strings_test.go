package inject

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// secret is what must not be in any message.
const secret = "SECRET"

// filled returns a string of n bytes.
func filled(n int) string { return secret + strings.Repeat("x", n-len(secret)) }

// containerNamed finds a container or an init container of a Pod.
func containerNamed(pod tree, name string) tree {
	for _, c := range append(toList(at(pod, "spec", "initContainers")), toList(at(pod, "spec", "containers"))...) {
		if at(c, "name") == name {
			return c.(tree)
		}
	}
	return nil
}

// limit is Linux': 32 pages of 4 KiB, of which one byte is the zero at the end.
const limit = 131_072 - 1

func TestStringsThatAreTooLong(t *testing.T) {
	env := func(container string, vars ...any) func(tree) {
		return func(pod tree) { containerNamed(pod, container)["env"] = vars }
	}
	arg := func(container, list string, i int, text string) func(tree) {
		return func(pod tree) { containerNamed(pod, container)[list].([]any)[i] = text }
	}
	value := func(name, value string) any { return tree{"name": name, "value": value} }
	tests := map[string]struct {
		change func(tree)
		// want is the message's beginning; what follows is the same for all. Empty: the Pod is let
		// pass.
		want, reason string
	}{
		"allow an env variable at the limit": {env("step-check", value("TEXT", filled(limit-5))), "", ""},
		"forbid an env variable over the limit": {env("step-check", value("A", "a"), value("TEXT", filled(limit-4))),
			`step "check": environment variable "TEXT" has 131072 bytes (128 KiB) with its name`,
			"env_too_long"},
		"forbid a sidecar's env variable": {env("sidecar-db", value("DATA", filled(140_000))),
			`sidecar "db": environment variable "DATA" has 140005 bytes (136.72 KiB) with its name`,
			"env_too_long"},
		"forbid an init container's env variable": {env("prepare", value("DATA", filled(140_000))),
			`init container "prepare": environment variable "DATA" has 140005 bytes (136.72 KiB) with its name`,
			"env_too_long"},
		"allow what only a source would tell": {env("step-check",
			tree{"name": "TEXT", "valueFrom": tree{"secretKeyRef": tree{"name": "s",
				"key": "k"}}}), "", ""},
		"allow a variable that is set again": {env("step-check", value("TEXT", filled(140_000)),
			value("TEXT", "short")),
			"", ""},
		"forbid a variable that is set again, long": {env("step-check", value("TEXT", "short"),
			value("TEXT", filled(140_000))),
			`step "check": environment variable "TEXT" has 140005 bytes (136.72 KiB) with its name`,
			"env_too_long"},
		"allow escapes that shrink below the limit": {env("step-check", value("TEXT", strings.Repeat("$$", 100_000))),
			"",
			""},
		"forbid escapes that stay over the limit": {env("step-check", value("TEXT", strings.Repeat("$$", 131_067))),
			`step "check": environment variable "TEXT" has 131072 bytes (128 KiB) with its name`,
			"env_too_long"},
		"allow a reference that may become nothing": {
			env("step-check", value("TEXT", "$("+filled(140_000)+")")), "", "",
		},
		"forbid what is no name of a variable": {env("step-check", value("TEXT", "$(=\n"+filled(140_000)+")")),
			`step "check": environment variable "TEXT" has 140010 bytes (136.73 KiB) with its name`,
			"env_too_long"},

		"allow an argument at the limit": {arg("step-check", "args", 14, filled(limit)), "", ""},
		"forbid an argument over the limit": {arg("step-check", "args", 14, filled(limit+1)),
			`step "check": argument 3 has 131072 bytes (128 KiB)`,
			"argument_too_long"},
		"forbid a program's name": {arg("step-check", "args", 10, filled(140_000)),
			`step "check": the program has 140000 bytes (136.72 KiB)`,
			"argument_too_long"},
		"forbid a when expression": {arg("step-again", "args", 9, filled(140_000)),
			`step "again": Tekton's argument -when_expressions has 140000 bytes (136.72 KiB)`,
			"argument_too_long"},
		"forbid a sidecar's argument": {arg("sidecar-dind", "args", 0, filled(140_000)),
			`sidecar "dind": argument 1 has 140000 bytes (136.72 KiB)`,
			"argument_too_long"},
		"forbid a sidecar's argument to its image": {arg("sidecar-own", "args", 0, filled(140_000)),
			`sidecar "own": argument 1 has 140000 bytes (136.72 KiB)`,
			"argument_too_long"},
		"forbid a sidecar's command": {arg("sidecar-dind", "command", 0, filled(140_000)),
			`sidecar "dind": the program has 140000 bytes (136.72 KiB)`,
			"argument_too_long"},
		"forbid arguments nobody can read": {arg("step-check", "args", 0, filled(140_000)),
			`step "check": argument 1 has 140000 bytes (136.72 KiB)`,
			"argument_too_long"},
		"forbid another container's argument": {func(pod tree) {
			c := containerNamed(pod, "sidecar-dind")
			c["name"] = "istio"
			c["args"] = []any{"a", filled(140_000)}
		}, `container "istio": argument 2 has 140000 bytes (136.72 KiB)`, "argument_too_long"},
		"shorten names that nobody has checked": {env("step-check", value(strings.Repeat("N", 140_000), "v")),
			`step "check": environment variable "` + strings.Repeat("N", 63) +
				`…" has 140002 bytes (136.72 KiB) with its name`,
			"env_too_long"},
		"name three and count the others": {func(pod tree) {
			env("step-check", value("A", filled(140_000)), value("B", filled(140_000)), value("C", filled(140_000)),
				value("D", filled(140_000)))(pod)
			arg("step-check", "args", 14, filled(140_000))(pod)
		}, `step "check": environment variable "A" has 140002 bytes (136.72 KiB) with its name; ` +
			`step "check": environment variable "B" has 140002 bytes (136.72 KiB) with its name; ` +
			`step "check": environment variable "C" has 140002 bytes (136.72 KiB) with its name; and 2 more`,
			"env_too_long"},
		"allow anything of a pod that opted out": {func(pod tree) {
			at(pod, "metadata", "annotations").(tree)["indelible.dev/results"] = "disabled"
			env("step-check", value("TEXT", filled(140_000)))(pod)
		}, "", ""},
		"allow anything of a pod for Windows": {func(pod tree) {
			pod["spec"].(tree)["os"] = tree{"name": "windows"}
			env("step-check", value("TEXT", filled(140_000)))(pod)
		}, "", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			raw := edit(t, readPod(t, "scripts"), tc.change)
			if tc.want == "" {
				handle(t, Options{}, raw)
				return
			}
			registry := prometheus.NewPedanticRegistry()
			got := refused(t, Options{Metrics: NewMetrics(registry)}, raw)
			want := tc.want +
				", but Linux accepts at most 131071 bytes (128 KiB) in one string: use the value in a script, " +
				"or pass it in a workspace"
			if got != want {
				t.Errorf("refused with %q, want %q", got, want)
			}
			// An event has room for 1,024 bytes, of which Tekton and the API server take some.
			if strings.Contains(got, secret) || len(got) > 700 {
				t.Errorf("the message holds a value or is too long: %q", got)
			}
			if diff := cmp.Diff(map[string]float64{"refused " + tc.reason: 1}, counted(t, registry)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestStringsOfInjectedPods: another webhook may have made one longer since.
func TestStringsOfInjectedPods(t *testing.T) {
	once, _ := handle(t, Options{}, readPod(t, "one-step"))
	raw := edit(t, once, func(pod tree) {
		args := containerNamed(pod, "step-build")["args"].([]any)
		args[len(args)-1] = filled(140_000)
	})
	if got, want := refused(t, Options{}, raw),
		`step "build": argument 2 has 140000 bytes`; !strings.HasPrefix(got, want) {
		t.Errorf("refused with %q, want %q", got, want)
	}
}
