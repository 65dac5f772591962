package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/indelible-ci/indelible/pkg/archive/identity"
)

func newAdopt(c *common) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "adopt --from=UID",
		Short: "Take over the archive of another cluster, which this cluster replaces",
		Long: `Make the archive of another cluster, below archive.cluster, this cluster's. An archive belongs to
the cluster that wrote it first, identified by the UID of its namespace kube-system, and an archiver
of another cluster refuses to start on it. Adopt the archive when a cluster was rebuilt and should
continue with the archive of its predecessor. The archiver's error message contains the UID.

The other cluster must not write any more: its archiver refuses to start from now on. Retention of
deleted namespaces counts from what this cluster sees.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from == "" {
				return &usageError{errors.New(
					"--from is required: the UID of kube-system of the cluster that owns the archive; " +
						"the archiver's error message contains it")}
			}
			a, err := c.openArchive(cmd.Context(), noIndex)
			if err != nil {
				return err
			}
			defer a.close()
			config, err := c.restConfig()
			if err != nil {
				return err
			}
			kube, err := kubernetes.NewForConfig(config)
			if err != nil {
				return err
			}
			kubeSystem, err := kubeSystemOf(cmd.Context(), kube)
			if err != nil {
				return err
			}
			host, _ := os.Hostname()
			if err := identity.Adopt(cmd.Context(), a.store, a.cluster, from, kubeSystem, "archiver adopt on "+host,
				time.Now()); err != nil {
				return err
			}
			cmd.Printf("the archive %q is this cluster's, %s\n", a.cluster, kubeSystem)
			return nil
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "UID of kube-system of the cluster that owns the archive")
	return cmd
}

// kubeSystemOf returns the UID by which a cluster is identified (pkg/archive/identity).
func kubeSystemOf(ctx context.Context, kube kubernetes.Interface) (string, error) {
	ns, err := kube.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("find out which cluster this is: %w", err)
	}
	return string(ns.UID), nil
}
