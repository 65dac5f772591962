package inject

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Tekton's entrypoint reads its arguments with Go's flag package up to the first "--"; what follows belongs to
// the step's command (cmd/entrypoint/main.go and args.go of Tekton Pipelines 1.15). Reading them here differently
// from there would take the wrong words out of somebody's command line, so the rules of the flag package are kept:
// one or two dashes, "-x=v" or "-x v" for values, and no separate value for booleans.

// entrypointBool names the flags of Tekton's entrypoint that take no value.
var entrypointBool = map[string]bool{
	"wait_file_content": true, "breakpoint_on_failure": true, "debug_before_step": true, "enable_spire": true,
	"compress_termination_message": true,
}

// entrypointValue names the flags that take a value, whatever that value looks like.
var entrypointValue = map[string]bool{
	"entrypoint": true, "wait_file": true, "post_file": true, "termination_path": true, "results": true,
	"step_results": true, "when_expressions": true, "timeout": true, "stdout_path": true, "stderr_path": true,
	"on_error": true, "step_metadata_dir": true, "result_from": true, "spire_socket_path": true,
	"basic-docker": true, "docker-config": true, "docker-cfg": true, "basic-git": true, "ssh-git": true,
}

// entrypointArgs is what the arguments of one step's entrypoint say.
type entrypointArgs struct {
	// kept are all arguments but -results and -step_results, in their order.
	kept []string
	// results and stepResults are the names given to those two flags.
	results, stepResults []string
	// values holds the last value of every other flag; a boolean's is "true" or "false".
	values map[string]string
}

// with returns the arguments that are kept, with another value of a flag: of a flag that is given twice the last counts.
func (a entrypointArgs) with(flag, value string) []string {
	end := slices.Index(a.kept, "--")
	return slices.Insert(slices.Clone(a.kept), end, "-"+flag, value)
}

// breaks says whether the step may stop at a breakpoint, where scripts of Tekton's write beside the file for which the next step waits.
func (a entrypointArgs) breaks() bool {
	return a.values["breakpoint_on_failure"] == "true" || a.values["debug_before_step"] == "true"
}

// parseEntrypointArgs reads the arguments of Tekton's entrypoint. It fails on what that entrypoint would refuse and
// on what Tekton never writes, because a Pod that is not understood must be left alone.
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

// readFlag reads the flag that args begin with and says how many arguments it takes up. A flag that is in neither
// list, because a later Tekton has it, is taken for a boolean if another flag follows, else for one with a value.
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

// splitNames splits a list of result names. Tekton writes an empty list for a Task whose results all have a value
// of their own.
func splitNames(list string) []string {
	var names []string
	for _, name := range strings.Split(list, ",") {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}
