package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/fsck"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

func newFsck(c *common) *cobra.Command {
	grace, local, class := 24*time.Hour, false, ""
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Verify the archive",
		Long: `Verify the archive: read every commit and every object that it names, decompress and compare
them; the same for what tools wrote. Compare the index, and the runs marked as archived in the
cluster, with the commits. Findings are written to standard output, one per line. It only reads, and
may run while the archiver does.

Exit codes: 0 no damage, 1 the archive could not be read to the end, 3 damage was found, or the
index does not match the archive.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return runFsck(cmd.Context(), c, cmd, grace, local, class) },
	}
	cmd.Flags().DurationVar(&grace, "grace", grace, "age from which a part without a commit counts as abandoned")
	cmd.Flags().BoolVar(&local, "archive-only", false,
		"verify only the archive, not the index and the runs in the cluster")
	cmd.Flags().StringVar(&class, "class", "",
		"compare with the runs whose label "+run.ClassLabel+" has this value; empty: those without the label")
	return cmd
}

func runFsck(ctx context.Context, c *common, cmd *cobra.Command, grace time.Duration, local bool, class string) error {
	use := readIndex
	if local {
		use = noIndex
	}
	a, err := c.openArchive(ctx, use)
	if err != nil {
		return err
	}
	defer a.close()
	o := fsck.Options{
		Store: a.store, Cluster: a.cluster, Grace: grace, Now: time.Now(),
		Found: func(f fsck.Finding) { cmd.Println(f) },
	}
	if !local {
		rest, err := c.restConfig()
		if err != nil {
			return fmt.Errorf("%w; with --archive-only the cluster is not needed", err)
		}
		o.Index, o.Marked = a.index, archiver.Marked(ctx, rest, class)
	}
	totals, err := fsck.Check(ctx, o)
	cmd.Printf("%d runs, %d parts, %d objects of tools, %d bytes, %d holds, %d segments, %d rows, %d marked in the cluster; "+
		"%d damaged, %d wrong in index or segments, %d unknown and carried, %d abandoned, %d strangers\n",
		totals.Commits, totals.Parts, totals.Objects, totals.Bytes, totals.Holds, totals.Segments, totals.Rows,
		totals.Marked,
		totals.Damaged, totals.Cache, totals.Carried, totals.Abandoned, totals.Strangers)
	switch {
	case err != nil:
		return fmt.Errorf("the archive was not read to the end: %w", err)
	case totals.Damaged+totals.Cache > 0:
		return &exit{exitDamaged}
	}
	return nil
}

// errNoSuchRun: the archive does not have the run.
var errNoSuchRun = errors.New("no such run in the archive")
