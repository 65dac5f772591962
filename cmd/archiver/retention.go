package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"

	"github.com/indelible-ci/indelible/pkg/archive/retention"
)

func newRetention(c *common) *cobra.Command {
	dryRun := true
	cmd := &cobra.Command{
		Use:   "retention",
		Short: "Delete runs from the archive by its retention policies, or show what would be deleted",
		Long: `Delete from the archive the run trees that a policy of archive.retention in the configuration
matches, as the archiver does every hour. Without --dry-run=false it only shows what would be
deleted. A run tree with a held run is never deleted.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := c.openArchive(cmd.Context(), readIndex)
			if err != nil {
				return err
			}
			defer a.close()
			policies, err := retentionOf(a.config.Retention)
			if err != nil {
				return err
			}
			o := retention.Options{Store: a.store, Index: a.index, Cluster: a.cluster, Policies: policies,
				Now: time.Now(), DryRun: dryRun}
			// without a cluster, policies with deletedNamespaces delete nothing
			if rest, err := c.restConfig(); err == nil {
				kube, err := kubernetes.NewForConfig(rest)
				if err != nil {
					return err
				}
				if o.Now, err = earliest(cmd.Context(), kube); err != nil {
					return err
				}
				o.Deleted = func(ctx context.Context) (map[string]time.Time, error) {
					if a.kubeSystem, err = kubeSystemOf(ctx, kube); err != nil {
						return nil, err
					}
					return a.deletedNamespaces(ctx, kube, true)
				}
			}
			o.Report = func(out retention.Outcome) {
				cmd.Printf("%s\t%s\t%s/%s\t%s\t%s%s\n", out.Action, out.Run.Kind, out.Run.Namespace, out.Run.Name,
					out.Run.UID, out.Policy, out.Reason)
			}
			totals, err := retention.Apply(cmd.Context(), o)
			verb := "deleted"
			if dryRun {
				verb = "would be deleted"
			}
			cmd.Printf("%d runs %s, %d bytes; %d kept, %d damaged\n", totals.Deleted, verb, totals.Bytes, totals.Kept,
				totals.Damaged)
			return err
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", true, "only show what would be deleted")
	return cmd
}
