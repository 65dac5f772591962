//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// process is a process of a container on this machine.
type process struct {
	pid, pidInside int // outside and inside the container
	command        []string
}

// kill sends a signal to the one process of a container that a test means. It works where the node
// is this machine, as with the local cluster; elsewhere the test is skipped.
func (p *place) kill(pod, container string, choose func(process) bool, signal syscall.Signal) {
	p.t.Helper()
	var met []process
	for _, candidate := range p.processes(pod, container) {
		if choose(candidate) {
			met = append(met, candidate)
		}
	}
	if len(met) != 1 {
		p.t.Fatalf("%d processes of container %s match, want 1", len(met), container)
	}
	if err := syscall.Kill(met[0].pid, signal); err != nil {
		p.t.Fatalf("sending %s to %s: %v", signal, met[0].command[0], err)
	}
}

func (p *place) processes(pod, container string) []process {
	p.t.Helper()
	var id string
	for _, s := range p.pod(pod).Status.ContainerStatuses {
		if s.Name == container {
			_, id, _ = strings.Cut(s.ContainerID, "://")
		}
	}
	if id == "" {
		p.t.Fatalf("container %s of pod %s has no ID", container, pod)
	}
	var found []process
	groups, _ := filepath.Glob("/proc/[0-9]*/cgroup")
	for _, group := range groups {
		if content, err := os.ReadFile(group); err == nil && strings.Contains(string(content), id) {
			if one, ok := describeProcess(filepath.Dir(group)); ok {
				found = append(found, one)
			}
		}
	}
	if len(found) == 0 {
		p.t.Skip("the pod's processes are not on this machine: they can be killed on the local cluster only")
	}
	return found
}

// describeProcess reads a folder of /proc. A process that has ended meanwhile is none.
func describeProcess(dir string) (process, bool) {
	pid, err := strconv.Atoi(filepath.Base(dir))
	if err != nil {
		return process{}, false
	}
	command, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil || len(command) == 0 {
		return process{}, false
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return process{}, false
	}
	one := process{pid: pid, command: strings.Split(strings.TrimRight(string(command), "\x00"), "\x00")}
	for _, line := range strings.Split(string(status), "\n") {
		if pids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			inside := strings.Fields(pids)
			slices.Reverse(inside)
			one.pidInside, err = strconv.Atoi(inside[0])
		}
	}
	return one, err == nil
}
