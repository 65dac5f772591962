package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/indelible-ci/indelible/pkg/archive/fsck"
)

func newFsck(c *common) *cobra.Command {
	grace := 24 * time.Hour
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Compare the archive with what it says of itself",
		Long: `Compare the archive with what it says of itself: every commit is read, and every object that it names is read, unpacked and
compared. What is found is written to standard output, a line each. It only reads, and may run while the archiver does.

Exit codes: 0 no damage, 1 the archive could not be read to the end, 3 damage was found.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return runFsck(cmd.Context(), c, cmd, grace) },
	}
	cmd.Flags().DurationVar(&grace, "grace", grace, "age from which on a part without a commit counts as abandoned, not as under way")
	return cmd
}

func runFsck(ctx context.Context, c *common, cmd *cobra.Command, grace time.Duration) error {
	a, err := c.openArchive(ctx, false)
	if err != nil {
		return err
	}
	defer a.close()
	totals, err := fsck.Check(ctx, fsck.Options{
		Store: a.store, Cluster: a.cluster, Grace: grace, Now: time.Now(),
		Found: func(f fsck.Finding) { cmd.Println(f) },
	})
	cmd.Printf("%d runs, %d parts, %d bytes; %d damaged, %d abandoned, %d strangers\n",
		totals.Commits, totals.Parts, totals.Bytes, totals.Damaged, totals.Abandoned, totals.Strangers)
	switch {
	case err != nil:
		return fmt.Errorf("the archive was not read to the end: %w", err)
	case totals.Damaged > 0:
		return &exit{exitDamaged}
	}
	return nil
}

// errNoSuchRun is the error of a run that the archive does not have.
var errNoSuchRun = errors.New("no such run in the archive")
