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

// Exit codes, documented in the help.
const (
	exitFailed = 1 // could not be done
	exitUsage  = 2 // wrong command line
)

// usageError is an error in the command line.
type usageError struct{ error }

// execute runs the command and returns the exit code.
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
		Short: "Serves the archive with the API of Tekton Results",
		Long: `Serves the archive with the API of Tekton Results: tekton.results.v1alpha2, over gRPC and REST on
one port.

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
		Short: "Serve the API until it is stopped",
		Long: `Serve the API until it is stopped. Store, index and cluster are those of the archiver's
configuration, which is read once. Several replicas may serve an archive whose index is in Postgres;
an SQLite file has to be on the machine of the archiver.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	identity := os.Getenv("POD_NAME")
	if identity == "" {
		identity, _ = os.Hostname()
	}
	flags := cmd.Flags()
	flags.StringVar(&o.config, "config", "/etc/indelible/config.yaml", "configuration file")
	flags.StringVar(&o.kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"),
		"kubeconfig file; default from KUBECONFIG; empty: in-cluster configuration")
	flags.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "minimum level logged: debug, info, warn, error")
	flags.StringVar(&o.address, "address", ":8080", "address of the API")
	flags.StringVar(&o.certificates, "certificates", "",
		"folder with tls.crt and tls.key, reloaded when they change; empty: no TLS")
	flags.BoolVar(&o.readOnly, "read-only", false, "refuse writes")
	flags.StringVar(&o.identity, "identity", identity,
		"name of this replica, recorded when an archive is bound to this cluster; default from POD_NAME")
	flags.StringVar(&o.metricsAddress, "metrics-address", ":9090", "address of /metrics")
	flags.StringVar(&o.healthAddress, "health-address", ":8081", "address of /healthz and /readyz")
	return cmd
}

// usage makes errors about arguments usage errors, which have their own exit code.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
		}
		return nil
	}
}
