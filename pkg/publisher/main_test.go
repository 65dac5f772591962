package publisher

import (
	"bytes"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The test binary plays the publisher, and some commands for it to run, when its first argument is
// a role. So these tests have real processes, signals and file descriptors.
const (
	rolePublisher = "as-publisher"
	// roleSubreaper is the publisher, and the kernel gives it orphans as it does to PID 1.
	roleSubreaper = "as-subreaper"
	// roleSignals prints the name of each signal it gets, until SIGTERM.
	roleSignals = "as-signal-printer"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case roleSubreaper:
			const prSetChildSubreaper = 36
			if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
				panic(errno)
			}
			fallthrough
		case rolePublisher:
			os.Exit(Main(os.Args[2:], os.Stdout, os.Stderr))
		case roleSignals:
			printSignals()
		}
	}
	os.Exit(m.Run())
}

func printSignals() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals)
	_, _ = os.Stdout.WriteString("ready\n")
	for s := range signals {
		switch s {
		case syscall.SIGURG, syscall.SIGCHLD: // the Go runtime's own, and no child's
		case syscall.SIGTERM:
			os.Exit(5)
		default:
			_, _ = os.Stdout.WriteString(s.String() + "\n")
		}
	}
}

// publisherCommand prepares a publisher process for the options; unset ones are filled with
// harmless values.
func publisherCommand(t *testing.T, role string, o Options, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, append([]string{role}, withDefaults(t, o).Args()...)...)
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

func withDefaults(t *testing.T, o Options) Options {
	t.Helper()
	d := testOptions(t)
	o.Namespace, o.TaskRun = d.Namespace, d.TaskRun
	if o.ResultsDir == "" {
		o.ResultsDir = d.ResultsDir
	}
	if o.Credentials == "" {
		o.Credentials = d.Credentials
	}
	if o.Timeout == 0 {
		o.Timeout = d.Timeout
	}
	if o.Limits.Result == 0 {
		o.Limits = d.Limits
	}
	if o.TerminationMessage == "" {
		o.TerminationMessage = d.TerminationMessage
	}
	if o.UID == "" && o.KeepIn == "" {
		// In a folder that any user may write to: what the command is, and not what becomes of its
		// results, is tested.
		dir, err := os.MkdirTemp("", "publisher")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		o.KeepIn = filepath.Join(dir, "report")
	}
	return o
}

// runPublisher runs a publisher process to its end.
func runPublisher(t *testing.T, cmd *exec.Cmd) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// wantText checks that text contains each part.
func wantText(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("text lacks %q:\n%s", p, text)
		}
	}
}

func TestMainSubcommands(t *testing.T) {
	tests := map[string]struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		"prints the usage for --help":          {[]string{"--help"}, 0, "publisher [flags] -- COMMAND", ""},
		"prints the flags for help":            {[]string{"help"}, 0, "-taskrun", ""},
		"prints a version":                     {[]string{"version"}, 0, "\n", ""},
		"forbid no arguments":                  {nil, 2, "", "publisher install DEST"},
		"forbid install without a destination": {[]string{"install"}, 2, "", "usage: publisher install DEST"},
		"forbid install to a folder that is missing": {[]string{"install", "/nonexistent/x/publisher"}, 1, "",
			"indelible: install to /nonexistent/x/publisher"},
		"forbid an unknown flag": {[]string{"-color", "red"}, 2, "", "-color"},
		"forbid a command line without a TaskRun": {
			[]string{"--", "true"}, 2, "", "-namespace and -taskrun are required",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := Main(tt.args, &stdout, &stderr); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			wantText(t, stdout.String(), tt.stdout)
			wantText(t, stderr.String(), tt.stderr)
			if tt.stdout == "" && stdout.Len() > 0 || tt.stderr == "" && stderr.Len() > 0 {
				t.Errorf("unexpected output: stdout %q, stderr %q", &stdout, &stderr)
			}
		})
	}
}
