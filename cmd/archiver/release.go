package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

func newRelease(c *common) *cobra.Command {
	var refused bool
	var namespace string
	timeout := 5 * time.Minute
	cmd := &cobra.Command{
		Use:   "release",
		Short: "Take the archive's finalizer off all runs of the cluster, before Indelible is removed",
		Long: `Take the finalizer ` + run.Finalizer + ` off all runs of the cluster, whether they are archived or not, so that none of them is held by a
program that is not there any more. Stop the archiver and delete the webhook configuration indelible-protect before, or the
finalizer comes back.

With --refused Indelible stays, and so do runs that are not archived: it helps with finished or deleted runs that Tekton's
admission refuses to let go of, because it looks at the whole spec at every write, and a feature was switched off or Tekton
upgraded since the run was created. The archiver says of those that they wait with reason "refused".

Either way Tekton's admission webhooks are kept away from the namespaces of such runs meanwhile, by the label
webhooks.knative.dev/exclude, which is put back as it was at the end. That needs the right to change namespaces.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := c.restConfig()
			if err != nil {
				return err
			}
			if refused {
				n, err := archiver.ReleaseRefused(cmd.Context(), config, namespace, timeout,
					func(line string) { cmd.PrintErrln(line) })
				cmd.Printf("%d refused runs released\n", n)
				return err
			}
			if namespace != "" {
				return &usageError{errors.New("--namespace goes with --refused only: without it the runs of all namespaces are " +
					"released")}
			}
			n, err := archiver.ReleaseAll(cmd.Context(), config, func(done int) { cmd.PrintErrf("\r%d runs released", done) })
			if n > 0 {
				cmd.PrintErrln()
			}
			cmd.Printf("%d runs released\n", n)
			return err
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&refused, "refused", false, "help only with runs that Tekton's admission refuses to let go of")
	flags.StringVarP(&namespace, "namespace", "n", "", "with --refused: only in this namespace")
	flags.DurationVar(&timeout, "timeout", timeout, "with --refused: how long to wait for the archiver at most")
	return cmd
}
