package inject

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// A string in a command line or environment that exceeds Linux' limit is refused before the Pod
// exists: its container would fail with "argument list too long", after all earlier steps have run.
// Only certain failures are refused: strings that are too long whatever the kubelet substitutes for
// variables. Values from valueFrom or envFrom are not known here.

// checkStrings refuses a Pod with strings that are too long.
func checkStrings(pod *corev1.Pod, scripts *scriptSplit) *refusal {
	var found []overlong
	for i := range pod.Spec.InitContainers {
		c := pod.Spec.InitContainers[i]
		if scripts != nil && scripts.container == i {
			c.Args = scripts.args
		}
		found = append(found, overlongOf(&c, title(&c, true))...)
	}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		found = append(found, overlongOf(c, title(c, false))...)
	}
	if len(found) == 0 {
		return nil
	}
	return &refusal{found[0].reason, explain(found)}
}

// overlong is one string that is too long.
type overlong struct {
	reason reason
	// what names the container, the string and its length, never its content.
	what string
}

// overlongOf returns a container's strings that are too long: environment first, then command line.
func overlongOf(c *corev1.Container, owner string) []overlong {
	var found []overlong
	for i, e := range c.Env {
		n := len(e.Name) + len("=") + leastLength(e.Value)
		if n > maxString && !setAgain(e.Name, c.Env[i+1:]) {
			found = append(found, overlong{reasonEnvTooLong,
				fmt.Sprintf("%s: environment variable %s has %s with its name", owner, quoted(e.Name), result.Size(n))})
		}
	}
	for _, w := range commandLine(c) {
		if n := leastLength(w.text); n > maxString {
			found = append(found,
				overlong{reasonArgumentTooLong, fmt.Sprintf("%s: %s has %s", owner, w.what, result.Size(n))})
		}
	}
	return found
}

// setAgain: the last of several variables of one name counts.
func setAgain(name string, later []corev1.EnvVar) bool {
	return slices.ContainsFunc(later, func(e corev1.EnvVar) bool { return e.Name == name })
}

// explain keeps the message short enough for an event (1,024 bytes).
func explain(found []overlong) string {
	const most = 3
	var parts []string
	for _, f := range found[:min(len(found), most)] {
		parts = append(parts, f.what)
	}
	text := strings.Join(parts, "; ")
	if more := len(found) - most; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return fmt.Sprintf("%s, but Linux accepts at most %s in one string: use the value in a script, or pass it in a "+
		"workspace",
		text, result.Size(maxString))
}
