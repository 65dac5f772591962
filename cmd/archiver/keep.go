package main

import (
	"cmp"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/config"
)

func newKeep(c *common) *cobra.Command {
	var class string
	cmd := &cobra.Command{
		Use:   "keep",
		Short: "Show which archived runs are due for deletion from the cluster, and what keeps the others",
		Long: `Show, for each archived run in the cluster that no other run created, whether the policies of
archive.keep keep it, for how long, and why. Runs created by others are deleted with them. Nothing
is deleted here: with --config of a changed copy of the configuration it shows what that would do.
The archiver deletes runs when they are due.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := config.Load(c.Config)
			if err != nil {
				return err
			}
			policies, err := keepOf(file.Archive.Keep)
			if err != nil {
				return err
			}
			rest, err := c.restConfig()
			if err != nil {
				return err
			}
			all, err := archiver.WhoStays(cmd.Context(), rest, class, policies, time.Now())
			if err != nil {
				return err
			}
			slices.SortFunc(all, func(a, b archiver.Staying) int {
				return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind),
					cmp.Compare(a.Name, b.Name))
			})
			leaving := 0
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			_, _ = fmt.Fprintln(table, "RUN\tPOLICY\t")
			for _, s := range all {
				if s.Leaves() {
					leaving++
				}
				_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", s.Reference, policyOf(s), becomes(s))
			}
			if err := table.Flush(); err != nil {
				return err
			}
			cmd.Printf("%d archived runs, of which %d leave now\n", len(all), leaving)
			return nil
		},
	}
	cmd.Flags().StringVar(&class, "class", "", "only runs whose label "+run.ClassLabel+" has this value; empty: those "+
		"without, which an archiver without --class archives")
	return cmd
}

func policyOf(s archiver.Staying) string {
	if s.Policy == nil {
		return "-"
	}
	return s.Policy.Name
}

func becomes(s archiver.Staying) string {
	switch {
	case s.Policy == nil:
		return "stays: no policy is about it"
	case s.Forever:
		return "stays for ever"
	case s.Last:
		return fmt.Sprintf("stays: one of the last %d", s.Policy.Last)
	case s.Left > 0:
		return "leaves in " + s.Left.Round(time.Second).String()
	}
	return "leaves now"
}
