package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/indelible-ci/indelible/pkg/archive/migrate"
)

func newExport(c *common) *cobra.Command {
	var peer peerOptions
	var from, logType string
	cmd := &cobra.Command{
		Use:   "export --api=ADDRESS",
		Short: "Write what the archive has to the API of a Tekton Results",
		Long: `Write what the archive has to the API of a Tekton Results: what tools wrote, and then runs, with their logs and events. What it has already is
left alone, so it may be killed and begun again; progress is written to standard error, with what --from takes to begin there. Tekton Results gives
what is new to it times and UIDs of its own.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if peer.api == "" {
				return &usageError{errors.New("--api is required: where to write to")}
			}
			connection, err := peer.connect()
			if err != nil {
				return err
			}
			defer connection.Close()
			a, err := c.openArchive(cmd.Context(), noIndex)
			if err != nil {
				return err
			}
			defer a.close()
			stderr := cmd.ErrOrStderr()
			totals, err := migrate.Export(cmd.Context(), migrate.ExportOptions{
				Store: a.store, Cluster: a.cluster, To: migrate.NewAPI(connection), LogType: logType, From: from,
				Progress: func(position string, t migrate.Totals) {
					_, _ = fmt.Fprintf(stderr, "%s; go on with --from=%s\n", summaryOf(t), position)
				},
				Damaged: func(key string, err error) { _, _ = fmt.Fprintf(cmd.OutOrStdout(), "not exported: %s: %v\n", key, err) },
			})
			cmd.Println(summaryOf(totals))
			if err != nil {
				return fmt.Errorf("the export did not come to the end, and may be begun again: %w", err)
			}
			return nil
		},
	}
	peer.flags(cmd)
	cmd.Flags().StringVar(&from, "from", "", "where to begin, as progress has said")
	cmd.Flags().StringVar(&logType, "logs-type", "", "LOGS_TYPE of its API server, such as File or S3; empty: logs are not sent")
	return cmd
}
