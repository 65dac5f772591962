package publisher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// Exit codes of a command that could not be started, as shells use them.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

// process is the step's command, run as an init process would: signals are forwarded to it, and
// orphans that the kernel reparents to us are reaped.
//
// A single goroutine (serve) does both. So no signal is sent to a process ID that wait4 has already
// released, and nothing else waits for children: os/exec would race with wait4(-1) for the status.
type process struct {
	pid    int
	ended  chan syscall.WaitStatus // receives the command's status once
	onStop func()                  // called for each signal that asks the pod to end

	signals  chan os.Signal // to forward
	children chan os.Signal // SIGCHLD; a separate channel, so that other signals cannot crowd it out
}

// start runs the command with our own stdin, stdout, stderr, environment and working directory.
func start(command []string, onStop func()) (*process, error) {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return nil, err
	}
	p := &process{
		ended:    make(chan syscall.WaitStatus, 1),
		onStop:   onStop,
		signals:  make(chan os.Signal, 64),
		children: make(chan os.Signal, 1),
	}
	// Before the fork: as PID 1 we would otherwise lose a signal or SIGCHLD that arrives in
	// between.
	signal.Notify(p.children, syscall.SIGCHLD)
	signal.Notify(p.signals, forwardable()...)
	p.pid, err = syscall.ForkExec(path, command, &syscall.ProcAttr{
		Env:   stepEnvironment(os.Environ()),
		Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		signal.Stop(p.signals)
		signal.Stop(p.children)
		return nil, &fs.PathError{Op: "exec", Path: path, Err: err}
	}
	go p.serve()
	return p, nil
}

// startFailure returns the exit code and the message for an error of start.
func startFailure(command string, err error) (int, string) {
	var lookup *exec.Error
	if !errors.As(err, &lookup) {
		// The file is there and executable, so "no such file or directory" would be its interpreter
		// or loader.
		return exitNotExecutable, fmt.Sprintf("cannot run %q: %v", command, err)
	}
	if errors.Is(lookup.Err, exec.ErrNotFound) || errors.Is(lookup.Err, fs.ErrNotExist) {
		return exitNotFound, fmt.Sprintf("cannot run %q: not found", command)
	}
	return exitNotExecutable, fmt.Sprintf("cannot run %q: %v", command, lookup.Err)
}

// serve runs until the program ends: orphans are reaped and stop signals matter while publishing,
// too.
func (p *process) serve() {
	alive := true
	for {
		select {
		case <-p.children:
			if status, ok := p.reap(); ok {
				alive = false
				p.ended <- status
			}
		case s := <-p.signals:
			if isStop(s) {
				p.onStop()
			}
			if n, ok := s.(syscall.Signal); ok && alive && n != syscall.SIGPIPE {
				_ = syscall.Kill(p.pid, n)
			}
		}
	}
}

// reap collects every child that has ended; one SIGCHLD may stand for several. It reports whether
// the command was among them.
func (p *process) reap() (status syscall.WaitStatus, ended bool) {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil || pid == 0:
			return status, ended
		case pid == p.pid:
			status, ended = ws, true
		}
	}
}

// exitCode is the code a shell reports for the status: 128+n when signal n ended the process.
func exitCode(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// forwardable lists the signals to receive. Excluded are SIGCHLD, which we handle; SIGURG, which
// the Go runtime uses for preemption; SIGKILL and SIGSTOP, which cannot be received; and signals
// ignored from the start (nohup), because receiving one would end that for the command as well.
// SIGPIPE is received so that a closed stderr cannot kill us, but not forwarded: it is about our
// own writes.
func forwardable() []os.Signal {
	var out []os.Signal
	for n := syscall.Signal(1); n < 65; n++ {
		switch n {
		case syscall.SIGCHLD, syscall.SIGURG, syscall.SIGKILL, syscall.SIGSTOP:
		default:
			if !signal.Ignored(n) {
				out = append(out, n)
			}
		}
	}
	return out
}
