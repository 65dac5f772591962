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
		Short: "Make the archive of another cluster that of this one, which has taken its place",
		Long: `Make what the archive has of archive.cluster that of this cluster. An archive belongs to the cluster that wrote it first, known by the
UID of its namespace kube-system, and an archiver does not start on another one's. Where a cluster was built anew and is to go on
with the archive of the one before, adopt it; the message with which the archiver refuses to start has the UID.

The cluster it is taken from must not write any more: its archiver refuses to start from then on. What retention says about
deleted namespaces counts from what this cluster sees.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from == "" {
				return &usageError{errors.New("--from is required: the UID of kube-system of the cluster that the archive is of; " +
					"the archiver's message has it")}
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
	cmd.Flags().StringVar(&from, "from", "", "UID of kube-system of the cluster that the archive is of")
	return cmd
}

// kubeSystemOf returns what a cluster is known by.
func kubeSystemOf(ctx context.Context, kube kubernetes.Interface) (string, error) {
	ns, err := kube.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("find out which cluster this is: %w", err)
	}
	return string(ns.UID), nil
}
