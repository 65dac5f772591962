// Package command has what the command lines of Indelible's programs share: exit codes, usage
// errors and the flags of all programs. It is apart from pkg/daemon because the webhook links no
// cobra.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
)

// Exit codes of all programs, documented in their help.
const (
	Failed = 1 // it could not be done
	Usage  = 2 // wrong command line
)

// ErrUsage is matched by errors in the command line, whose exit code is Usage.
var ErrUsage = errors.New("wrong command line")

// usageError is err, and matches ErrUsage.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func (usageError) Is(target error) bool { return target == ErrUsage }

// Root completes a program's root command, which only prints its help. Execute prints errors.
func Root(root *cobra.Command, stdout, stderr io.Writer) {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Args = Args(cobra.NoArgs)
	root.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(explain)
}

// Args makes cobra's errors about arguments usage errors.
func Args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return explain(cmd, err)
		}
		return nil
	}
}

func explain(cmd *cobra.Command, err error) error {
	return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
}

// Execute runs the root command, prints its error and returns the exit code. An error with a method
// ExitCode is not printed: its command has done that.
func Execute(ctx context.Context, root *cobra.Command, args []string, stderr io.Writer) int {
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var coded interface {
		error
		ExitCode() int
	}
	switch {
	case err == nil:
		return 0
	case errors.As(err, &coded):
		return coded.ExitCode()
	}
	_, _ = fmt.Fprintf(stderr, "%s: %v\n", root.Name(), err)
	if errors.Is(err, ErrUsage) {
		return Usage
	}
	return Failed
}

// Flags are the flags of all programs.
type Flags struct {
	Config, Kubeconfig string
	LogLevel           slog.Level
}

// Add defines the flags for a command and its subcommands. config is the help of --config.
func (f *Flags) Add(cmd *cobra.Command, config string) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.Config, "config", "/etc/indelible/config.yaml", config)
	flags.StringVar(&f.Kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"),
		"file to reach the cluster by; empty: what KUBECONFIG names, and else as the pod it runs in")
	flags.TextVar(&f.LogLevel, "log-level", slog.LevelInfo, "least level logged: debug, info, warn, error")
}
