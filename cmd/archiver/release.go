package main

import (
	"github.com/spf13/cobra"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
)

func newRelease(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "release",
		Short: "Take the archive's finalizer off all runs of the cluster, before Indelible is removed",
		Long: `Take the finalizer ` + archiver.Finalizer + ` off all runs of the cluster, whether they are archived or not, so that none of them is held by a
program that is not there any more. Stop the archiver and delete the webhook configuration indelible-protect before, or the
finalizer comes back.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := c.restConfig()
			if err != nil {
				return err
			}
			n, err := archiver.ReleaseAll(cmd.Context(), config, func(done int) { cmd.PrintErrf("\r%d runs released", done) })
			if n > 0 {
				cmd.PrintErrln()
			}
			cmd.Printf("%d runs released\n", n)
			return err
		},
	}
	return cmd
}
