package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"

	"github.com/indelible-ci/indelible/pkg/archive/identity"
	"github.com/indelible-ci/indelible/pkg/archive/retention"
)

// retentionOptions are the flags of archiver retention.
type retentionOptions struct {
	*common
	dryRun bool
	// owner is the UID of kube-system of a cluster that cannot be asked.
	owner string
}

func newRetention(c *common) *cobra.Command {
	o := retentionOptions{common: c}
	cmd := &cobra.Command{
		Use:   "retention",
		Short: "Delete runs from the archive by its retention policies, or show what would be deleted",
		Long: `Delete from the archive the run trees that a policy of archive.retention in the configuration
matches, as the archiver does every hour. Without --dry-run=false it only shows what would be
deleted. A run tree with a held run is never deleted.

Only the cluster that the archive belongs to may delete from it. For the archive of a cluster that
no longer exists, give its UID with --owner; policies with deletedNamespaces delete nothing then.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", true, "only show what would be deleted")
	cmd.Flags().StringVar(&o.owner, "owner", "",
		"UID of kube-system of the cluster that the archive belongs to, instead of asking this cluster")
	return cmd
}

func (o *retentionOptions) run(cmd *cobra.Command) error {
	a, err := o.openArchive(cmd.Context(), readIndex)
	if err != nil {
		return err
	}
	defer a.close()
	policies, err := retentionOf(a.config.Retention)
	if err != nil {
		return err
	}
	with := retention.Options{Store: a.store, Index: a.index, Cluster: a.cluster, Policies: policies, Now: time.Now(),
		DryRun: o.dryRun}
	with.Report = func(out retention.Outcome) {
		cmd.Printf("%s\t%s\t%s/%s\t%s\t%s%s\n", out.Action, out.Run.Kind, out.Run.Namespace, out.Run.Name, out.Run.UID,
			out.Policy, out.Reason)
	}
	if err := o.ask(cmd.Context(), a, &with); err != nil {
		return err
	}
	totals, err := retention.Apply(cmd.Context(), with)
	verb := "deleted"
	if o.dryRun {
		verb = "would be deleted"
	}
	cmd.Printf("%d runs %s, %d bytes; %d kept, %d damaged\n", totals.Deleted, verb, totals.Bytes, totals.Kept,
		totals.Damaged)
	return err
}

// ask completes the options with what only a cluster knows: whose archive it is, what time it is,
// and which namespaces were deleted. A dry run goes without, and without a cluster.
func (o *retentionOptions) ask(ctx context.Context, a *archive, with *retention.Options) error {
	if o.owner != "" {
		return identity.Check(ctx, a.store, a.cluster, o.owner)
	}
	config, err := o.restConfig()
	if err != nil {
		if o.dryRun {
			return nil
		}
		return fmt.Errorf("%w: only the cluster that the archive belongs to may delete from it (or give --owner)", err)
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if a.kubeSystem, err = kubeSystemOf(ctx, kube); err != nil {
		return err
	}
	if err := a.ours(ctx); err != nil && (!o.dryRun || errors.Is(err, identity.ErrForeign)) {
		return err
	}
	var latest time.Time
	if with.Now, latest, err = clocks(ctx, kube); err != nil {
		return err
	}
	with.Deleted = func(ctx context.Context) (map[string]time.Time, error) {
		return a.deletedNamespaces(ctx, kube, latest, true)
	}
	return nil
}
