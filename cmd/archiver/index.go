package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/indelible-ci/indelible/pkg/archive/index"
)

func newIndex(c *common) *cobra.Command {
	cmd := &cobra.Command{Use: "index", Short: "Update or rebuild the index", Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newIndexMake(c, "sync",
		"Add rows that the index lacks, and delete those whose runs are not in the archive",
		index.Sync),
		newIndexMake(c, "rebuild", "Empty the index, and rebuild it from the archive", index.Rebuild))
	return cmd
}

func newIndexMake(
	c *common, name, short string, do func(ctx context.Context, o index.SyncOptions) (index.SyncTotals, error),
) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Args: usage(cobra.NoArgs),
		Long: short + ". The archiver may run meanwhile.\n\nExit codes: 0 done, 1 not completed, 3 commits that are " +
			"damaged, or that the index refuses, were skipped: archiver fsck tells which.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := c.openArchive(cmd.Context(), makeIndex)
			if err != nil {
				return err
			}
			defer a.close()
			totals, err := do(cmd.Context(), index.SyncOptions{
				Store: a.store, Index: a.index, Cluster: a.cluster,
				Damaged:  func(key string, err error) { cmd.PrintErrf("\r%s: %v\n", key, err) },
				Progress: func(t index.SyncTotals) { cmd.PrintErrf("\r%d runs, %d added", t.Commits, t.Added) },
			})
			cmd.PrintErrln()
			cmd.Printf("%d runs in the archive; %d rows added, %d of them from segments, %d deleted; %d damaged\n",
				totals.Commits, totals.Added, totals.FromSegments, totals.Deleted, totals.Damaged)
			if err == nil && totals.Damaged > 0 {
				err = &exit{exitDamaged}
			}
			return err
		},
	}
}
