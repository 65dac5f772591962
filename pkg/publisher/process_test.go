package publisher

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestExitCode(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("no program"), 0o644); err != nil {
		t.Fatal(err)
	}
	headless := filepath.Join(t.TempDir(), "headless")
	if err := os.WriteFile(headless, []byte("#!/nonexistent/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		command []string
		code    int
		stderr  string
	}{
		"keeps success":          {[]string{"true"}, 0, ""},
		"keeps a failure's code": {[]string{"sh", "-c", "exit 3"}, 3, ""},
		"keeps code 255":         {[]string{"sh", "-c", "exit 255"}, 255, ""},
		"turns SIGKILL into 137": {[]string{"sh", "-c", "kill -KILL $$"}, 137, ""},
		"turns SIGTERM into 143": {[]string{"sh", "-c", "kill -TERM $$"}, 143, ""},
		"gives 127 for an unknown name": {[]string{"no-such-command"}, 127,
			"indelible: cannot run \"no-such-command\": not found\n"},
		"gives 127 for an unknown path": {[]string{"/no/such/command"}, 127,
			"indelible: cannot run \"/no/such/command\": not found\n"},
		"gives 126 for a file without mode x": {[]string{plain}, 126, "permission denied"},
		"gives 126 for a folder":              {[]string{"/"}, 126, "is a directory"},
		"gives 126 for a missing interpreter": {[]string{headless}, 126, "exec " + headless + ": no such file"},
		"keeps arguments and the command name": {[]string{"sh", "-c", `test "$0,$1,$#" = "zero,a b,2"`, "zero",
			"a b", ""}, 0,
			""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runPublisher(t, publisherCommand(t, rolePublisher, Options{Command: tt.command}))
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			wantText(t, stderr, tt.stderr)
			if stdout != "" || tt.stderr == "" && stderr != "" {
				t.Errorf("unexpected output: stdout %q, stderr %q", stdout, stderr)
			}
		})
	}
}

func TestStreamsAndSurroundings(t *testing.T) {
	t.Run("keeps stdin, stdout and stderr byte for byte", func(t *testing.T) {
		input := bytes.Repeat([]byte("line\r\n\x00\xff"), 50_000)
		cmd := publisherCommand(t, rolePublisher, Options{Command: []string{"sh", "-c", "tee /dev/stderr"}})
		cmd.Stdin = bytes.NewReader(input)
		code, stdout, stderr := runPublisher(t, cmd)
		if code != 0 || stdout != string(input) || stderr != string(input) {
			t.Errorf("code %d, %d bytes on stdout, %d on stderr; want 0, %d, %d", code, len(stdout), len(stderr),
				len(input),
				len(input))
		}
	})
	t.Run("keeps environment, folder and further descriptors", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := publisherCommand(t, rolePublisher,
			Options{Command: []string{"sh", "-c", `echo "$PWD $SAYS $HOME"; echo three >&3`}})
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "SAYS=a=b c"}
		cmd.Dir = "/usr"
		cmd.ExtraFiles = []*os.File{w}
		_, stdout, _ := runPublisher(t, cmd)
		if stdout != "/usr a=b c \n" {
			t.Errorf("stdout %q", stdout)
		}
		_ = w.Close()
		if line, _ := bufio.NewReader(r).ReadString('\n'); line != "three\n" {
			t.Errorf("descriptor 3 got %q", line)
		}
	})
}

// startAndRead starts the publisher and returns its output's lines.
func startAndRead(t *testing.T, cmd *exec.Cmd) (readLine func() string) {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	return func() string {
		t.Helper()
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("read the command's output: %v", err)
		}
		return strings.TrimSpace(line)
	}
}

func TestSignalForwarding(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := publisherCommand(t, rolePublisher, Options{Command: []string{self, roleSignals}})
	readLine := startAndRead(t, cmd)
	if line := readLine(); line != "ready" {
		t.Fatalf("got %q", line)
	}
	for _, s := range []syscall.Signal{
		syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM,
		syscall.SIGWINCH, syscall.SIGCONT, syscall.SIGABRT, syscall.SIGTSTP, syscall.Signal(40),
	} {
		if signal.Ignored(s) {
			// as it is under nohup: the command inherits that, and is never sent it (see
			// TestIgnoredHangupStaysIgnored)
			continue
		}
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		if got := readLine(); got != s.String() {
			t.Errorf("the command got %q, want %q", got, s)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 5 {
		t.Errorf("exit code %d, want the command's 5", code)
	}
}

func TestIgnoredHangupStaysIgnored(t *testing.T) {
	cmd := publisherCommand(t, rolePublisher, Options{Command: []string{"sh", "-c", "kill -HUP $$; echo alive"}})
	cmd.Args = append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`},
		append([]string{cmd.Path}, cmd.Args[1:]...)...)
	cmd.Path = "/bin/sh"
	code, stdout, _ := runPublisher(t, cmd)
	if code != 0 || stdout != "alive\n" {
		t.Errorf("code %d, stdout %q; want 0, \"alive\\n\"", code, stdout)
	}
}

// orphan starts a grandchild that ends with code 9 after its parent has gone, and waits until it
// has been reaped: kill -0 succeeds on a zombie.
const orphan = `pid=$( (sh -c 'exit 9' >/dev/null & echo $!) ); while kill -0 $pid 2>/dev/null; do :; done; `

func TestOrphansAreReaped(t *testing.T) {
	script := strings.Repeat(orphan, 20) + "exit 4"
	code, _, stderr := runPublisher(t,
		publisherCommand(t, roleSubreaper, Options{Command: []string{"sh", "-c", script}}))
	if code != 4 {
		t.Errorf("exit code %d, want the command's 4; %s", code, stderr)
	}
}

func TestAsPID1(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a new PID namespace needs root")
	}
	inNamespace := func(t *testing.T, command ...string) *exec.Cmd {
		cmd := publisherCommand(t, rolePublisher, Options{Command: command})
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
		return cmd
	}
	t.Run("keeps the exit code and reaps orphans", func(t *testing.T) {
		code, stdout, stderr := runPublisher(t, inNamespace(t, "sh", "-c", orphan+orphan+"echo $PPID; exit 6"))
		if code != 6 || stdout != "1\n" {
			t.Errorf("code %d, parent %q, stderr %q; want 6 and parent 1", code, stdout, stderr)
		}
	})
	t.Run("forwards SIGTERM, which PID 1 would ignore", func(t *testing.T) {
		cmd := inNamespace(t, "sh", "-c", `trap 'exit 8' TERM; echo ready; while :; do sleep 0.01; done`)
		readLine := startAndRead(t, cmd)
		if line := readLine(); line != "ready" {
			t.Fatalf("got %q", line)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 8 {
			t.Errorf("exit code %d, want 8", code)
		}
	})
	t.Run("gives 143 when SIGTERM ends the command", func(t *testing.T) {
		cmd := inNamespace(t, "sh", "-c", `echo ready; exec sleep 600`)
		readLine := startAndRead(t, cmd)
		readLine()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 143 {
			t.Errorf("exit code %d, want 143", code)
		}
	})
	t.Run("works as any user without a home", func(t *testing.T) {
		dir, err := os.MkdirTemp("", "publisher") // t.TempDir is closed to others
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		program := filepath.Join(dir, "publisher")
		if err := Install(program); err != nil {
			t.Fatal(err)
		}
		cmd := inNamespace(t, "sh", "-c", "id -u")
		cmd.Path = program
		cmd.Dir = "/"
		cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 4711, Gid: 4711, NoSetGroups: true}
		code, stdout, stderr := runPublisher(t, cmd)
		// With -cover the test binary itself complains that this user has nowhere to write to.
		if code != 0 || stdout != "4711\n" || stderr != "" && testing.CoverMode() == "" {
			t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
		}
	})
}
