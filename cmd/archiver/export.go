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
		Long: `Write the content of the archive to the API of a Tekton Results: first what tools wrote, then runs,
with their logs and events. What it has already is left alone, so the export can be interrupted and
repeated; progress is written to standard error, with the value of --from to continue there. Tekton
Results assigns its own times and UIDs.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if peer.api == "" {
				return &usageError{errors.New("--api is required: where to export to")}
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
				Damaged: func(key string, err error) {
					_, _ = fmt.Fprintf(cmd.OutOrStdout(), "not exported: %s: %v\n", key, err)
				},
			})
			cmd.Println(summaryOf(totals))
			if err != nil {
				return fmt.Errorf("the export was not completed, and can be continued: %w", err)
			}
			return nil
		},
	}
	peer.flags(cmd)
	cmd.Flags().StringVar(&from, "from", "", "where to begin, as printed with the progress")
	cmd.Flags().StringVar(&logType, "logs-type", "",
		"LOGS_TYPE of its API server, such as File or S3; empty: logs are not sent")
	return cmd
}
