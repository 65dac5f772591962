package publisher

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime/debug"
)

// exitUsage is the exit code for a wrong command line, as in package flag.
const exitUsage = 2

const usageText = `publisher runs a step's command and then writes the results it left onto the TaskRun.

  publisher [flags] -- COMMAND [ARG...]   run COMMAND, then publish; with -keep, leave that to the last step
  publisher install DEST                  copy this program to the file DEST
  publisher version                       print the version

Exit code: that of COMMAND (128+n when signal n ended it, 127 when it was not found, 126 when it
could not be executed); 74 when COMMAND succeeded but its results could not be published.

Flags:
`

// Main runs the program with the given arguments (without the program's name) and returns the exit
// code.
func Main(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		_, _ = fmt.Fprint(stderr, usageText)
		return exitUsage
	}
	switch args[0] {
	case "install":
		return installMain(args[1:], stderr)
	case "version":
		_, _ = fmt.Fprintln(stdout, version())
		return 0
	case "help", "-h", "-help", "--help":
		_, _ = ParseOptions([]string{"-h"}, stdout)
		return 0
	}
	o, err := ParseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	}
	leaveEnvironment()
	return Run(o, stderr)
}

func installMain(args []string, stderr io.Writer) int {
	if len(args) != 1 || args[0] == "" {
		_, _ = fmt.Fprintln(stderr, "indelible: usage: publisher install DEST")
		return exitUsage
	}
	if err := Install(args[0]); err != nil {
		_, _ = fmt.Fprintln(stderr, "indelible:", err)
		return 1
	}
	return 0
}

// version is the module's version as the Go toolchain stamped it, with the commit it was built
// from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v += " " + s.Value
		}
	}
	return v
}
