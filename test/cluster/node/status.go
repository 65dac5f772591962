package node

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
)

// Status prints what runs, and says whether everything does.
func (s State) Status(ctx context.Context, out io.Writer) bool {
	all := true
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range s.components() {
		state := "not running"
		if pid := s.running(c.name); pid != 0 {
			state = fmt.Sprintf("pid %d", pid)
		} else {
			all = false
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", c.name, state, s.log(c.name))
	}
	if err := table.Flush(); err != nil || !all {
		return false
	}
	for _, args := range [][]string{
		{"get", "nodes", "--output=wide"},
		{"get", "deployments", "--all-namespaces", "--output=wide"},
	} {
		listed, err := s.RunKubectl(ctx, "", args...)
		if err != nil {
			fmt.Fprintln(out, err)
			return false
		}
		fmt.Fprintf(out, "\n%s", listed)
	}
	return all
}
