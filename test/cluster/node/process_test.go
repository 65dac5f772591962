package node

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is long: nothing here waits for it unless it fails.
const patience = time.Minute

// stateWith is a folder as prepare makes it, with a program called etcd that waits for its standard
// input to end.
func stateWith(t *testing.T) State {
	t.Helper()
	state := State(t.TempDir())
	for _, dir := range []string{"bin", "pids", "logs", "run"} {
		if err := os.Mkdir(state.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(cat, state.bin("etcd")); err != nil {
		t.Fatal(err)
	}
	return state
}

// bystander is a process that no state folder started. It lives until the test ends.
type bystander struct {
	pid   int
	alive func() bool
}

func startBystander(t *testing.T, program string) bystander {
	t.Helper()
	command := exec.Command(program)
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(input.Close(), command.Wait()) })
	answers := bufio.NewReader(output)
	alive := func() bool {
		_, _ = fmt.Fprintln(input, "ping")
		line, err := answers.ReadString('\n')
		return err == nil && line == "ping\n"
	}
	if !alive() {
		t.Fatal("cat does not answer")
	}
	return bystander{command.Process.Pid, alive}
}

func TestStopSignalsOnlyTheProcessItStarted(t *testing.T) {
	for name, forge := range map[string]func(record) any{
		"keeps a process with the pid and a later start": func(r record) any { r.Started += "0"; return r },
		"keeps a process with the pid after a reboot":    func(r record) any { r.Boot = "00000000-0000-0000-0000-000000000000"; return r },
		"keeps a process when only the pid is written":   func(r record) any { return map[string]int{"pid": r.PID} },
		"keeps a process when the file is half written":  func(r record) any { return fmt.Sprintf("{%d", r.PID) },
	} {
		t.Run(name, func(t *testing.T) {
			state := stateWith(t)
			other := startBystander(t, "cat")
			rec, err := describe(other.pid)
			if err != nil {
				t.Fatal(err)
			}
			content, err := json.Marshal(forge(rec))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(state.pid("etcd"), content, 0o600); err != nil {
				t.Fatal(err)
			}
			if pid := state.running("etcd"); pid != 0 {
				t.Errorf("takes process %d for etcd", pid)
			}
			if err := state.stop("etcd", patience); err != nil {
				t.Error(err)
			}
			if !other.alive() {
				t.Error("the process was signalled")
			}
			if _, err := os.Stat(state.pid("etcd")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the stale pid file is still there: %v", err)
			}
		})
	}
}

func TestStartAndStop(t *testing.T) {
	state := stateWith(t)
	// /dev/stdin is /dev/null for a component, so the program is one that waits.
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(state.bin("etcd")), os.Symlink(sleep, state.bin("etcd"))); err != nil {
		t.Fatal(err)
	}
	if err := state.start(component{name: "etcd", args: []string{"600"}}); err != nil {
		t.Fatal(err)
	}
	pid := state.running("etcd")
	if pid == 0 {
		t.Fatal("does not run")
	}
	t.Run("finds a component whose pid file was not written", func(t *testing.T) {
		if err := os.Remove(state.pid("etcd")); err != nil {
			t.Fatal(err)
		}
		// The child is this test's own name until it has become sleep.
		for state.running("etcd") == 0 && t.Context().Err() == nil {
			state.adopt()
		}
		if got := state.running("etcd"); got != pid {
			t.Errorf("got %d, want %d", got, pid)
		}
	})
	t.Run("ends it", func(t *testing.T) {
		if err := state.stop("etcd", patience); err != nil {
			t.Fatal(err)
		}
		if state.running("etcd") != 0 {
			t.Error("still runs")
		}
	})
}

func TestAdoptLeavesOthersAlone(t *testing.T) {
	state := stateWith(t)
	// The same program by another path, as another cluster's would be.
	startBystander(t, "cat")
	state.adopt()
	if pid := state.running("etcd"); pid != 0 {
		t.Errorf("adopts process %d", pid)
	}
}

func TestParseStat(t *testing.T) {
	rest := " S 1 42 42 0 -1 4194560 1 0 0 0 2 3 0 0 20 0 5 0 98765 1000 200"
	for name, test := range map[string]struct {
		stat, state, started string
		fails                bool
	}{
		"reads a plain name":                     {stat: "42 (etcd)" + rest, state: "S", started: "98765"},
		"reads a name with spaces and brackets":  {stat: "42 (a) R 1 (b)" + rest, state: "S", started: "98765"},
		"forbids a line that is cut off":         {stat: "42 (etcd) S 1 42", fails: true},
		"forbids what is not a line of the file": {stat: "", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			state, started, err := parseStat(test.stat)
			if state != test.state || started != test.started || (err != nil) != test.fails {
				t.Errorf("got %q, %q, %v", state, started, err)
			}
		})
	}
}

func TestPortsFree(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)

	t.Run("forbids a port that is taken, and names it", func(t *testing.T) {
		err := component{name: "etcd", ports: []string{address}}.portsFree()
		// The search leaves out this process itself, which has the port.
		expect(t, err, "etcd needs the port "+port+", which another program has: end that first")
	})
	t.Run("names the process that has a socket", func(t *testing.T) {
		file, err := listener.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		command := exec.Command("cat")
		command.ExtraFiles = []*os.File{file}
		input, err := command.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("process %d (cat)", command.Process.Pid)
		if got := portOwner(port); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if err := errors.Join(input.Close(), command.Wait()); err != nil {
			t.Error(err)
		}
	})
	t.Run("allows the address of a bridge that is not made yet", func(t *testing.T) {
		// RFC 5737: an address for documentation, which no machine has.
		expect(t, component{name: "kubelet", ports: []string{"192.0.2.1:10250"}}.portsFree(), "")
	})
}

func TestCommandLine(t *testing.T) {
	other := startBystander(t, "cat")
	if got := commandLine(other.pid); filepath.Base(got) != "cat" {
		t.Errorf("got %q", got)
	}
	if got := commandLine(1 << 30); strings.TrimSpace(got) != "" {
		t.Errorf("got %q for no process", got)
	}
}
