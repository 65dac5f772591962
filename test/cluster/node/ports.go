package node

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// CheckPorts refuses a machine where something else has a port of the cluster, before minutes of
// building.
func (s State) CheckPorts() error {
	s.adopt()
	for _, c := range s.components() {
		if s.running(c.name) != 0 {
			continue
		}
		if err := c.portsFree(); err != nil {
			return err
		}
	}
	return nil
}

// portsFree names the port that another program has, and that program, before the component fails
// on it in its log.
func (c component) portsFree() error {
	for _, address := range c.ports {
		listener, err := net.Listen("tcp", address)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			_, port, _ := net.SplitHostPort(address)
			return fmt.Errorf(
				"%s needs the port %s, which %s has: end that first, or use an existing cluster by its kubeconfig",
				c.name, port, portOwner(port))
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			// The bridge with this address does not exist yet, so nothing listens there.
			continue
		case err != nil:
			return fmt.Errorf("%s needs the port %s: %w", c.name, address, err)
		}
		if err := listener.Close(); err != nil {
			return err
		}
	}
	return nil
}

// portOwner describes the process that listens on a port.
func portOwner(port string) string {
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "another program"
	}
	var inodes []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if content, err := os.ReadFile(table); err == nil {
			inodes = append(inodes, listeners(string(content), uint16(number))...)
		}
	}
	owner := "another program"
	processes(func(pid int) {
		if hasSocket(pid, inodes) {
			owner = fmt.Sprintf("process %d (%s)", pid, commandLine(pid))
		}
	})
	return owner
}

// listeners finds the inodes of the sockets that listen on a port, in the format of /proc/net/tcp:
// the second column is address:port in hexadecimal, the fourth the state (0A is LISTEN), the tenth
// the inode.
func listeners(table string, port uint16) []string {
	var inodes []string
	suffix := fmt.Sprintf(":%04X", port)
	for _, line := range strings.Split(table, "\n") {
		fields := strings.Fields(line)
		if len(fields) > 9 && strings.HasSuffix(fields[1], suffix) && fields[3] == "0A" {
			inodes = append(inodes, fields[9])
		}
	}
	return inodes
}

func hasSocket(pid int, inodes []string) bool {
	descriptors, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(descriptors, func(path string) bool {
		target, err := os.Readlink(path)
		inode, found := strings.CutPrefix(target, "socket:[")
		return err == nil && found && slices.Contains(inodes, strings.TrimSuffix(inode, "]"))
	})
}

// commandLine is a program and its first arguments: enough to know it by, and not all that may be
// secret in it.
func commandLine(pid int) string {
	args := arguments(pid)
	if len(args) > 3 {
		args = append(slices.Clone(args[:3]), "…")
	}
	return strings.Join(args, " ")
}

// arguments are empty for a kernel thread and for a process that is gone.
func arguments(pid int) []string {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(content) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(content), "\x00"), "\x00")
}
