package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/indelible-ci/indelible/pkg/archive/index"
)

func newList(c *common) *cobra.Command {
	q := index.Query{Limit: 50}
	var roots bool
	cmd := &cobra.Command{
		Use:   "list [NAMESPACE]",
		Short: "List archived runs, the newest first",
		Args:  usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkKind(q.Kind); err != nil {
				return err
			}
			if len(args) > 0 {
				q.Namespace = args[0]
			}
			a, err := c.openArchive(cmd.Context(), readIndex)
			if err != nil {
				return err
			}
			defer a.close()
			if complete, err := a.index.Complete(cmd.Context(), string(a.cluster)); err != nil {
				return err
			} else if !complete {
				cmd.PrintErrln("the index does not have all of the archive yet, or archive.cluster is not " +
					"the cluster's name in the archive")
			}
			q.Cluster, q.Roots = string(a.cluster), roots
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			_, _ = fmt.Fprintln(table, "CREATED\tKIND\tRUN\tREASON\tUID")
			for row, err := range a.index.Find(cmd.Context(), q) {
				if err != nil {
					return err
				}
				r := row.Commit.Run
				_, _ = fmt.Fprintf(table, "%s\t%s\t%s/%s\t%s\t%s\n", r.Created.UTC().Format(time.RFC3339), r.Kind,
					r.Namespace,
					r.Name, r.Reason, r.UID)
			}
			return table.Flush()
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&q.Kind, "kind", "", kindHelp)
	flags.StringVar(&q.Name, "name", "", "only runs of this name")
	flags.BoolVar(&roots, "roots", false, "only runs that no PipelineRun created")
	flags.IntVar(&q.Limit, "limit", q.Limit, "how many at most; 0: all")
	return cmd
}
