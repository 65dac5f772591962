package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// record is what a pid file remembers of a process. A pid alone may belong to another program by
// now; with the start time and the boot it names one process for ever.
type record struct {
	PID int `json:"pid"`
	// Started is in clock ticks since the boot, field 22 of /proc/<pid>/stat.
	Started string `json:"started"`
	Boot    string `json:"boot"`
}

// start runs a program in a session of its own, so that it outlives this tool and its terminal.
func (s State) start(c component) error {
	log, err := os.OpenFile(s.log(c.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(s.bin(c.program()), c.args...)
	command.Dir = string(s)
	command.Env = c.environment()
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	closeOnExec()
	if err := command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	// Reaps the process if it ends while this tool runs; afterwards init does.
	go func() { _ = command.Wait() }()
	rec, err := describe(command.Process.Pid)
	if err != nil {
		return fmt.Errorf("%s ended at once; see %s", c.name, s.log(c.name))
	}
	return s.remember(c.name, rec)
}

// closeOnExec keeps what our caller left open from a component, which outlives the caller: a lock
// of flock(1), inherited, would be held for as long as the cluster runs.
func closeOnExec() {
	open, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range open {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}

func (s State) remember(name string, rec record) error {
	content, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return writeWhole(s.pid(name), content)
}

// adopt finds components whose pid file is missing or stale, because this tool was killed between
// starting one and writing it: only they run a program of our folder by its path there.
func (s State) adopt() {
	for _, c := range s.components() {
		if s.running(c.name) != 0 {
			continue
		}
		processes(func(pid int) {
			args := arguments(pid)
			if len(args) == 0 || args[0] != s.bin(c.program()) {
				return
			}
			if rec, err := describe(pid); err == nil {
				_ = s.remember(c.name, rec) // without it, starting the component names the process that has its port
			}
		})
	}
}

// writeWhole replaces a file at once: after a crash it has its old content or the new one.
func writeWhole(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func describe(pid int) (record, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return record{}, err
	}
	state, started, err := parseStat(string(stat))
	if err != nil {
		return record{}, err
	}
	if state == "Z" || state == "X" {
		return record{}, os.ErrProcessDone
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return record{PID: pid, Started: started, Boot: strings.TrimSpace(string(boot))}, err
}

// parseStat finds state and start time. The second field is the program's name in parentheses and
// may hold anything.
func parseStat(stat string) (state, started string, err error) {
	end := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[end+1:])
	if end < 0 || len(fields) < 20 {
		return "", "", errors.New("unknown format of /proc/<pid>/stat")
	}
	return fields[0], fields[19], nil
}

// running is the pid of a component, or 0.
func (s State) running(name string) int {
	content, err := os.ReadFile(s.pid(name))
	if err != nil {
		return 0
	}
	var saved record
	if json.Unmarshal(content, &saved) != nil {
		return 0
	}
	now, err := describe(saved.PID)
	if err != nil || now != saved {
		return 0
	}
	return saved.PID
}

// exitPatience is what a process that was killed has to free its memory, of which an API server may
// have gigabytes. Until then it has neither a command line nor given back its ports.
const exitPatience = time.Minute

// exited reports whether a process has given back what it had: there is none, or its parent has yet
// to ask for its exit code. Its first thread may be a zombie long before the last has ended.
func exited(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	_, fields, found := strings.Cut(string(stat), ") ") // after the command, which may contain anything
	return err != nil || found && strings.HasPrefix(fields, "Z") && len(threads) <= 1
}

// killPatience is how long a killed process may take: the kernel frees its memory first, and an API
// server with 80,000 runs has 13 GB.
const killPatience = time.Minute

// stop ends a component, politely first, and forgets it.
func (s State) stop(name string, patience time.Duration) error {
	ending := s.running(name)
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if signal == syscall.SIGKILL {
			patience = max(patience, killPatience)
		}
		pid := s.running(name)
		if pid == 0 {
			break
		}
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end %s: %w", name, err)
		}
		until := time.Now().Add(patience)
		for s.running(name) != 0 && time.Now().Before(until) {
			time.Sleep(50 * time.Millisecond)
		}
	}
	if pid := s.running(name); pid != 0 {
		return fmt.Errorf("%s (pid %d) does not end", name, pid)
	}
	for until := time.Now().Add(exitPatience); ending != 0 && !exited(ending); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			return fmt.Errorf("%s (pid %d) was killed and has not ended after %s", name, ending, exitPatience)
		}
	}
	if err := os.Remove(s.pid(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
