package command

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

type coded struct{}

func (coded) Error() string { return "printed already" }
func (coded) ExitCode() int { return 3 }

func TestExecute(t *testing.T) {
	for args, want := range map[string]struct {
		err    error
		code   int
		stderr string
	}{
		"do":              {nil, 0, ""},
		"":                {nil, 0, ""},
		"do ":             {errors.New("no disk"), Failed, "tool: no disk\n"},
		"do  ":            {fmt.Errorf("done: %w", coded{}), 3, ""},
		"do now":          {nil, Usage, "tool: unknown command \"now\" for \"tool do\"; see tool do --help\n"},
		"now":             {nil, Usage, "; see tool --help\n"},
		"do --config":     {nil, Usage, "tool: flag needs an argument: --config; see tool do --help\n"},
		"do --log-level=": {nil, Usage, "log-level"},
	} {
		var stderr bytes.Buffer
		var f Flags
		root := &cobra.Command{Use: "tool"}
		Root(root, io.Discard, &stderr)
		f.Add(root, "configuration")
		root.AddCommand(&cobra.Command{Use: "do", Args: Args(cobra.NoArgs),
			RunE: func(*cobra.Command, []string) error { return want.err }})
		code := Execute(t.Context(), root, strings.Fields(args), &stderr)
		if code != want.code || !strings.Contains(stderr.String(), want.stderr) || want.stderr == "" && stderr.Len() > 0 {
			t.Errorf("%q: code %d, %q", args, code, &stderr)
		}
	}
}
