package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"github.com/indelible-ci/indelible/pkg/daemon"
)

// Exit codes, documented in the help.
const (
	exitFailed  = 1 // it could not be done
	exitUsage   = 2 // wrong command line
	exitDamaged = 3 // fsck has found damage
)

// exit is an error with its own exit code, whose message has been printed.
type exit struct{ code int }

func (e *exit) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// execute runs the command and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(stdout, stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var coded *exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &coded):
		return coded.code
	}
	_, _ = fmt.Fprintln(stderr, "archiver:", err)
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// usageError is an error in the command line.
type usageError struct{ error }

// usage turns cobra's errors about arguments into a usageError.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
		}
		return nil
	}
}

// common has the flags of all commands.
type common struct {
	config     string
	kubeconfig string
	logLevel   slog.Level
	stderr     io.Writer
}

func (c *common) log() logr.Logger {
	return daemon.NewLogger(c.stderr, c.logLevel)
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	c := &common{stderr: stderr}
	root := &cobra.Command{
		Use:   "archiver",
		Short: "Moves finished Tekton runs into the archive, and looks after it",
		Long: `Moves finished Tekton runs, with their logs and events, into the archive, and looks after it.

Exit codes: 0 done, 1 could not be done, 2 wrong command line, 3 fsck has found damage.`,
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
	flags := root.PersistentFlags()
	flags.StringVar(&c.config, "config", "/etc/indelible/config.yaml",
		"configuration file; run reads it again when it changes")
	flags.StringVar(&c.kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"),
		"kubeconfig file; default from KUBECONFIG; empty: in-cluster configuration")
	flags.TextVar(&c.logLevel, "log-level", slog.LevelInfo, "least level logged: debug, info, warn, error")
	root.AddCommand(newRun(c), newList(c), newGet(c), newFsck(c), newImport(c), newExport(c), newIndex(c), newKeep(c),
		newRetention(c), newHold(c), newRelease(c), newAdopt(c))
	return root
}
