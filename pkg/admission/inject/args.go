package inject

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Tekton's entrypoint parses its arguments with Go's flag package up to the first "--"; the rest
// belongs to the step's command (cmd/entrypoint/main.go and args.go of Tekton Pipelines 1.15).
// Parsing them differently here would break a user's command line, so the rules of the flag package
// are followed: one or two dashes, "-x=v" or "-x v" for values, and no separate value for booleans.

// entrypointBool names the flags of Tekton's entrypoint that take no value.
var entrypointBool = map[string]bool{
	"wait_file_content": true, "breakpoint_on_failure": true, "debug_before_step": true, "enable_spire": true,
	"compress_termination_message": true,
}

// entrypointValue names the flags that take a value, whatever the value looks like.
var entrypointValue = map[string]bool{
	"entrypoint": true, "wait_file": true, "post_file": true, "termination_path": true, "results": true,
	"step_results": true, "when_expressions": true, "timeout": true, "stdout_path": true, "stderr_path": true,
	"on_error": true, "step_metadata_dir": true, "result_from": true, "spire_socket_path": true,
	"basic-docker": true, "docker-config": true, "docker-cfg": true, "basic-git": true, "ssh-git": true,
}

// entrypointArgs are the parsed arguments of one step's entrypoint.
type entrypointArgs struct {
	// kept are all arguments except -results and -step_results, in their order.
	kept []string
	// results and stepResults are the names given to those two flags.
	results, stepResults []string
	// values holds the last value of every other flag; booleans are "true" or "false".
	values map[string]string
}

// with returns the kept arguments with a flag overridden: the last occurrence of a flag counts.
func (a entrypointArgs) with(flag, value string) []string {
	end := slices.Index(a.kept, "--")
	return slices.Insert(slices.Clone(a.kept), end, "-"+flag, value)
}

// breaks reports whether the step may stop at a breakpoint, where Tekton's debug scripts write
// files next to the one that the next step waits for: that file must keep its name.
func (a entrypointArgs) breaks() bool {
	return a.values["breakpoint_on_failure"] == "true" || a.values["debug_before_step"] == "true"
}

// parseEntrypointArgs fails on anything that the entrypoint would reject or that Tekton never
// writes: a Pod that is not understood must be left alone.
func parseEntrypointArgs(args []string) (entrypointArgs, error) {
	parsed := entrypointArgs{values: map[string]string{}}
	for i := 0; i < len(args); {
		if args[i] == "--" {
			parsed.kept = append(parsed.kept, args[i:]...)
			return parsed, nil
		}
		name, value, width, err := readFlag(args[i:])
		if err != nil {
			return entrypointArgs{}, fmt.Errorf("argument %d: %w", i, err)
		}
		switch name {
		case "results":
			parsed.results = splitNames(value)
		case "step_results":
			parsed.stepResults = splitNames(value)
		default:
			parsed.values[name] = value
			parsed.kept = append(parsed.kept, args[i:i+width]...)
		}
		i += width
	}
	return entrypointArgs{}, errors.New("no -- ends the entrypoint's own arguments")
}

// readFlag parses the flag at the beginning of args and returns how many arguments it takes up. A
// flag in neither list, from a later Tekton, counts as a boolean if another flag follows, and
// otherwise as one with a value.
func readFlag(args []string) (name, value string, width int, err error) {
	name, hasDash := strings.CutPrefix(args[0], "-")
	name = strings.TrimPrefix(name, "-")
	name, value, inline := strings.Cut(name, "=")
	if !hasDash || name == "" || name[0] == '-' {
		return "", "", 0, errors.New("not a flag")
	}
	hasNext := len(args) > 1 && args[1] != "--"
	switch {
	case entrypointBool[name] && inline:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return "", "", 0, fmt.Errorf("-%s is neither true nor false", name)
		}
		return name, strconv.FormatBool(b), 1, nil
	case entrypointBool[name]:
		return name, "true", 1, nil
	case inline:
		return name, value, 1, nil
	case entrypointValue[name] && !hasNext:
		return "", "", 0, fmt.Errorf("-%s has no value", name)
	case entrypointValue[name], hasNext && !strings.HasPrefix(args[1], "-"):
		return name, args[1], 2, nil
	default:
		return name, "true", 1, nil
	}
}

// splitNames splits a list of result names. Tekton writes an empty list for a Task whose results
// all have a value:.
func splitNames(list string) []string {
	var names []string
	for _, name := range strings.Split(list, ",") {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}
