package inject

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// word is one string of a container's command line, and what the Task's author calls it.
type word struct{ what, text string }

// commandLine returns a container's command line as its author wrote it: after Tekton's entrypoint,
// if there is one, the step's command and args, numbered together. The Pod does not show where one
// ends and the other begins.
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

// behindEntrypoint parses the arguments of Tekton's entrypoint. From the first one it cannot parse,
// they are only numbered.
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

// numbered numbers arguments from 1; the first `program` words are the program itself.
func numbered(argv []string, program int) []word {
	found := make([]word, 0, len(argv)) // there may be as many as fit into a request
	for i, text := range argv {
		what := "the program"
		if i >= program {
			what = fmt.Sprintf("argument %d", i-program+1)
		}
		found = append(found, word{what, text})
	}
	return found
}

// title returns what the Task's author calls a container.
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

// quoted makes a name safe for a message: the Pod has not been validated yet.
func quoted(name string) string {
	const most = 63 // longest name of a container
	if len(name) > most {
		name = name[:most] + "…"
	}
	return fmt.Sprintf("%q", name)
}
