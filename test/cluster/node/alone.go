package node

import (
	"fmt"
	"path/filepath"
	"slices"
)

// CheckAlone refuses a machine where a cluster of another folder runs. Bridge, addresses, rules and
// control groups have the same names in both: starting a second one would fail, and ending it would
// take them from the first.
func (s State) CheckAlone() error {
	other := ""
	processes(func(pid int) {
		if dir := stateOf(arguments(pid)); dir != "" && dir != string(s) {
			other = dir
		}
	})
	if other == "" {
		return nil
	}
	return fmt.Errorf("a cluster runs in %s, and a machine can have one: use that, or end it with down --state %[1]s",
		other)
}

// stateOf is the folder of a cluster, from the command line of its etcd, the first component to
// start and the last to end.
func stateOf(args []string) string {
	if len(args) == 0 || filepath.Base(args[0]) != "etcd" || !slices.Contains(args, "--name="+nodeName) {
		return ""
	}
	return filepath.Dir(filepath.Dir(args[0]))
}
