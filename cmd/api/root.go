package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
)

// Exit codes, as the help has them.
const (
	exitFailed = 1 // it could not be done
	exitUsage  = 2 // wrong command line
)

// usageError is the error of a wrong command line.
type usageError struct{ error }

// execute is the whole command: it returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(stdout, stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(stderr, "api:", err)
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// options are the command's flags.
type options struct {
	config         string
	kubeconfig     string
	logLevel       slog.Level
	address        string
	certificates   string
	readOnly       bool
	identity       string
	metricsAddress string
	healthAddress  string
	stderr         io.Writer
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	o := options{stderr: stderr}
	root := &cobra.Command{
		Use:   "api",
		Short: "Serves the archive as Tekton Results does",
		Long: `Serves the archive as Tekton Results does: tekton.results.v1alpha2, over gRPC and REST on one port.

Exit codes: 0 done, 1 could not be done, 2 wrong command line.`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usage(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(newRun(&o))
	return root
}

func newRun(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Serve the API, until it is told to stop",
		Long: `Serve the API, until it is told to stop. Store, index and cluster are those of the archiver's configuration, which is
read once. Several may serve one archive whose index is Postgres; an SQLite file has to be on the machine of the archiver.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	identity := os.Getenv("POD_NAME")
	if identity == "" {
		identity, _ = os.Hostname()
	}
	flags := cmd.Flags()
	flags.StringVar(&o.config, "config", "/etc/indelible/config.yaml", "configuration file")
	flags.StringVar(&o.kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "file to reach the cluster by; empty: what KUBECONFIG names, and else as the pod it runs in")
	flags.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "least level logged: debug, info, warn, error")
	flags.StringVar(&o.address, "address", ":8080", "address of the API")
	flags.StringVar(&o.certificates, "certificates", "", "folder with tls.crt and tls.key, followed as they change; empty: no TLS")
	flags.BoolVar(&o.readOnly, "read-only", false, "refuse writes")
	flags.StringVar(&o.identity, "identity", identity, "name of this replica, for an archive that is nobody's yet; default from POD_NAME")
	flags.StringVar(&o.metricsAddress, "metrics-address", ":9090", "address of /metrics")
	flags.StringVar(&o.healthAddress, "health-address", ":8081", "address of /healthz and /readyz")
	return cmd
}

// usage turns what cobra says of arguments into an error with its exit code.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
		}
		return nil
	}
}
