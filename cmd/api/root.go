package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/indelible-ci/indelible/pkg/daemon/command"
)

// execute runs the command and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return command.Execute(ctx, newRoot(stdout, stderr), args, stderr)
}

// options are the command's flags.
type options struct {
	command.Flags
	address        string
	certificates   string
	readOnly       bool
	identity       string
	metricsAddress string
	healthAddress  string
	stderr         io.Writer
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "api",
		Short: "Serves the archive as Tekton Results does",
		Long: `Serves the archive as Tekton Results does: tekton.results.v1alpha2, over gRPC and REST on one port.

Exit codes: 0 done, 1 could not be done, 2 wrong command line.`,
		Version: version,
	}
	command.Root(root, stdout, stderr)
	root.AddCommand(newRun(&options{stderr: stderr}))
	return root
}

func newRun(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Serve the API, until it is told to stop",
		Long: `Serve the API, until it is told to stop. Store, index and cluster are those of the archiver's configuration, which is
read once. Several replicas can serve one archive if its index is Postgres; an SQLite file must be on the archiver's machine.`,
		Args: command.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	identity := os.Getenv("POD_NAME")
	if identity == "" {
		identity, _ = os.Hostname()
	}
	o.Add(cmd, "configuration file")
	flags := cmd.Flags()
	flags.StringVar(&o.address, "address", ":8080", "address of the API")
	flags.StringVar(&o.certificates, "certificates", "",
		"folder with tls.crt and tls.key, followed as they change; empty: no TLS")
	flags.BoolVar(&o.readOnly, "read-only", false, "refuse writes")
	flags.StringVar(&o.identity, "identity", identity,
		"name of this replica, recorded when it binds a new archive to this cluster; default from POD_NAME")
	flags.StringVar(&o.metricsAddress, "metrics-address", ":9090", "address of /metrics")
	flags.StringVar(&o.healthAddress, "health-address", ":8081", "address of /healthz and /readyz")
	return cmd
}
