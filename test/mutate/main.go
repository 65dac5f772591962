// Command mutate shows that no rule of the guard or of the policy can be lost unnoticed: it takes
// one rule away at a time, runs the tests, and names the test that fails. It edits nothing in the
// tree.
//
// The rules are found, not listed. Of the guard (rules.go) they are each check, each condition of
// an if or a case, each operand of && and ||, and each assignment, in all files of
// pkg/admission/guard but those that only read and write JSON. All are built into one test binary
// with a switch (build.go), so that a run takes a second. Of the policies in config/policy they are
// the validations (policy.go); those are tried on a real API server.
//
// Taking away some of these changes nothing: a shortcut, say. They stand in equivalents.go, each
// with its reason. A rule that survives and does not stand there, or that stands there and does not
// survive, makes the command fail.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the command: 0 if every rule is missed by a test, 1 if one is not, 2 if it could not be
// tried.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	root := flags.String("root", ".", "root of the repository")
	only := flags.String("only", "", "regular expression: try only rules whose name matches")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	match, err := regexp.Compile(*only)
	if err != nil || flags.NArg() != 1 {
		_, _ = fmt.Fprintln(stderr, "usage: mutate [-root DIR] [-only REGEXP] guard|policy", err)
		return 2
	}
	dir, err := filepath.Abs(*root)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "mutate:", err)
		return 2
	}
	var outcomes []outcome
	switch flags.Arg(0) {
	case "guard":
		outcomes, err = tryGuard(dir, match, stderr)
	case "policy":
		outcomes, err = tryPolicies(dir, match, stdout)
	default:
		err = fmt.Errorf("neither guard nor policy: %s", flags.Arg(0))
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "mutate:", err)
		return 2
	}
	if !report(stdout, outcomes) {
		return 1
	}
	return 0
}
