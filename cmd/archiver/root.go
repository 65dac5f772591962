package main

import (
	"context"
	"fmt"
	"io"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"github.com/indelible-ci/indelible/pkg/daemon"
	"github.com/indelible-ci/indelible/pkg/daemon/command"
)

// Exit codes, documented in the help.
const (
	exitFailed  = command.Failed
	exitDamaged = 3 // fsck has found damage
)

// exit is an error with its own exit code, whose message has been printed.
type exit struct{ code int }

func (e *exit) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// ExitCode is for command.Execute.
func (e *exit) ExitCode() int { return e.code }

// execute runs the command and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return command.Execute(ctx, newRoot(stdout, stderr), args, stderr)
}

// usageError is an error in the command line.
type usageError struct{ error }

// Is makes it a command.ErrUsage.
func (*usageError) Is(target error) bool { return target == command.ErrUsage }

// usage turns cobra's errors about arguments into usage errors.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs { return command.Args(check) }

// common has the flags of all commands.
type common struct {
	command.Flags
	stderr io.Writer
}

func (c *common) log() logr.Logger {
	return daemon.NewLogger(c.stderr, c.LogLevel)
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	c := &common{stderr: stderr}
	root := &cobra.Command{
		Use:   "archiver",
		Short: "Moves finished Tekton runs into the archive, and looks after it",
		Long: `Moves finished Tekton runs, with their logs and events, into the archive, and looks after it.

Exit codes: 0 done, 1 could not be done, 2 wrong command line, 3 fsck has found damage.`,
		Version: version,
	}
	command.Root(root, stdout, stderr)
	c.Add(root, "configuration file; run reads it again when it changes")
	root.AddCommand(newRun(c), newList(c), newGet(c), newFsck(c), newImport(c), newExport(c), newIndex(c), newKeep(c),
		newRetention(c), newHold(c), newRelease(c), newAdopt(c))
	return root
}
