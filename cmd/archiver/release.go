package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

func newRelease(c *common) *cobra.Command {
	var refused, all bool
	var namespace string
	timeout := 5 * time.Minute
	cmd := &cobra.Command{
		Use:   "release (--refused | --all)",
		Short: "Remove the archive's finalizer from runs that are refused, or from all before an uninstallation",
		Long: `With --all, remove the finalizer ` + run.Finalizer + ` from all runs of the cluster, archived or
not, so that no run is held by a program that no longer exists. Stop the archiver and delete the
webhook configuration indelible-protect first, or the finalizer is added again.

With --refused Indelible stays, and so do runs that are not archived. It helps only with finished or
deleted runs whose finalizer Tekton's admission refuses to let the archiver remove, because a feature
was disabled or Tekton upgraded since they were created, and it validates the whole spec at every
write. The archiver reports them as waiting with reason "refused".

In both cases Tekton's admission webhooks are kept away from the namespaces of such runs, by the
label webhooks.knative.dev/exclude, which is restored at the end. That needs the right to change
namespaces.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case refused == all:
				return &usageError{errors.New("give one of --refused, which helps with runs that Tekton's admission " +
					"refuses to let go, and --all, which is for an uninstallation")}
			case all && namespace != "":
				return &usageError{errors.New("--namespace goes with --refused: --all is of all namespaces")}
			}
			config, err := c.restConfig()
			if err != nil {
				return err
			}
			if refused {
				n, err := archiver.ReleaseRefused(cmd.Context(), config, namespace, timeout,
					func(line string) { cmd.PrintErrln(line) })
				if n > 0 || err == nil {
					cmd.Printf("%d refused runs released\n", n)
				}
				return err
			}
			n, err := archiver.ReleaseAll(cmd.Context(), config,
				func(done int) { cmd.PrintErrf("\r%d runs released", done) })
			if n > 0 {
				cmd.PrintErrln()
			}
			if n > 0 || err == nil {
				cmd.Printf("%d runs released\n", n)
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&refused, "refused", false,
		"only runs whose finalizer Tekton's admission refuses to let the archiver remove")
	flags.BoolVar(&all, "all", false, "all runs of the cluster, archived or not")
	flags.StringVarP(&namespace, "namespace", "n", "", "with --refused: only in this namespace")
	flags.DurationVar(&timeout, "timeout", timeout, "with --refused: how long to wait for the archiver at most")
	return cmd
}
