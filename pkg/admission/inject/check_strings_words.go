package inject

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// word is one string that a container is started with, and what it is to the people who wrote the Task.
type word struct{ what, text string }

// commandLine returns a container's command line as its author wrote it: behind Tekton's entrypoint, where there is one,
// the step's command and args, counted together. Where one ends and the other begins, the Pod does not say.
func commandLine(c *corev1.Container) []word {
	argv := slices.Concat(c.Command, c.Args)
	if len(c.Command) > 0 && c.Command[0] == publisherBinary {
		argv = argv[slices.Index(argv, "--")+1:] // what the publisher runs
	}
	if len(c.Command) == 0 || len(argv) == 0 || argv[0] != tektonEntrypoint {
		return numbered(argv, min(len(c.Command), 1))
	}
	return behindEntrypoint(argv[1:])
}

// behindEntrypoint reads the arguments of Tekton's entrypoint. From the first it cannot read on, they are just
// numbered.
func behindEntrypoint(args []string) []word {
	var found []word
	for i := 0; i < len(args); {
		if args[i] == "--" {
			return append(found, numbered(args[i+1:], 0)...)
		}
		name, _, width, err := readFlag(args[i:])
		if err != nil {
			return append(found, numbered(args[i:], 0)...)
		}
		what := "Tekton's argument -" + name
		if name == "entrypoint" {
			what = "the program"
		}
		for _, text := range args[i : i+width] {
			found = append(found, word{what, text})
		}
		i += width
	}
	return found
}

// numbered counts arguments from 1, after so many words that are the program itself.
func numbered(argv []string, program int) []word {
	found := make([]word, 0, len(argv)) // which may be as many as a request has room for
	for i, text := range argv {
		what := "the program"
		if i >= program {
			what = fmt.Sprintf("argument %d", i-program+1)
		}
		found = append(found, word{what, text})
	}
	return found
}

// title names a container as the Task's author does.
func title(c *corev1.Container, isInit bool) string {
	for prefix, kind := range map[string]string{stepPrefix: "step", "sidecar-": "sidecar"} {
		if name, ok := strings.CutPrefix(c.Name, prefix); ok {
			return kind + " " + quoted(name)
		}
	}
	if isInit {
		return "init container " + quoted(c.Name)
	}
	return "container " + quoted(c.Name)
}

// quoted makes a name fit for a message: it comes from a Pod that nobody has checked yet.
func quoted(name string) string {
	const most = 63 // what a container's name may have
	if len(name) > most {
		name = name[:most] + "…"
	}
	return fmt.Sprintf("%q", name)
}
