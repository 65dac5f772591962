package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// This file finds what a cluster leaves on the machine. Down removes what it finds, and Leftovers
// reports it, so that neither can overlook what the other sees.

// Leftovers lists everything of the cluster that is on this machine outside its folder: after Down
// there is nothing.
func (s State) Leftovers(ctx context.Context) ([]string, error) {
	var left []string
	for _, c := range s.components() {
		if pid := s.running(c.name); pid != 0 {
			left = append(left, fmt.Sprintf("process %d: %s", pid, c.name))
		}
	}
	for _, pid := range s.shims() {
		left = append(left, fmt.Sprintf("process %d: containerd-shim", pid))
	}
	for _, pid := range s.contained() {
		left = append(left, fmt.Sprintf("process %d: of a container", pid))
	}
	for _, point := range s.mounts() {
		left = append(left, "mount "+point)
	}
	for _, name := range bridgePorts() {
		left = append(left, "interface "+name)
	}
	if isInterface(bridge) {
		left = append(left, "interface "+bridge)
	}
	for _, link := range s.logLinks() {
		left = append(left, "link "+link)
	}
	for _, path := range s.shimSockets() {
		left = append(left, "socket "+path)
	}
	for _, dir := range s.cgroups() {
		left = append(left, "cgroup "+dir)
	}
	for _, family := range []string{"iptables", "ip6tables"} {
		saved, err := run(ctx, "", family+"-save")
		if err != nil {
			return left, err
		}
		for _, line := range rulesLeft(saved) {
			left = append(left, family+" "+line)
		}
	}
	return left, nil
}

// processes calls f with each process of this machine.
func processes(f func(pid int)) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && pid != os.Getpid() {
			f(pid)
		}
	}
}

// shims finds the shims of our containerd.
func (s State) shims() []int {
	var pids []int
	processes(func(pid int) {
		args := arguments(pid)
		if len(args) > 0 && filepath.Base(args[0]) == "containerd-shim-runc-v2" &&
			slices.Contains(args, s.containerdSocket()) {
			pids = append(pids, pid)
		}
	})
	return pids
}

// contained finds the processes of containers: a mount of their mount namespace is the root file
// system of one of ours.
func (s State) contained() []int {
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return nil
	}
	var pids []int
	processes(func(pid int) {
		namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
		if err != nil || namespace == own {
			return
		}
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
		if err == nil && strings.Contains(string(content), s.path("containerd")+"/") &&
			rootIsOurs(string(content), s.path("containerd")) {
			pids = append(pids, pid)
		}
	})
	return pids
}

// rootIsOurs looks at the line of the mount at /: an overlay names its layers, which are in
// containerd's folder, and a copy (of the native snapshotter) is a bind mount from it.
func rootIsOurs(mountinfo, containerd string) bool {
	for _, line := range strings.Split(mountinfo, "\n") {
		fields := strings.Fields(line)
		if len(fields) > 4 && fields[4] == "/" {
			return strings.Contains(line, containerd+"/")
		}
	}
	return false
}

// mounts lists the mount points below our folder, deepest first.
func (s State) mounts() []string {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	return mountsBelow(string(content), string(s))
}

func mountsBelow(mountinfo, dir string) []string {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var points []string
	for _, line := range strings.Split(mountinfo, "\n") {
		if fields := strings.Fields(line); len(fields) > 4 {
			if point := unescape.Replace(fields[4]); strings.HasPrefix(point, dir+"/") {
				points = append(points, point)
			}
		}
	}
	// Later lines are mounted over earlier ones.
	slices.Reverse(points)
	return points
}

// logLinks lists the links that the kubelet made to our pods' logs.
func (s State) logLinks() []string {
	entries, err := os.ReadDir(containerLogLinks)
	if err != nil {
		return nil
	}
	var links []string
	for _, entry := range entries {
		path := filepath.Join(containerLogLinks, entry.Name())
		if target, err := os.Readlink(path); err == nil && strings.HasPrefix(target, s.podLogs()+"/") {
			links = append(links, path)
		}
	}
	return links
}

// cgroups lists the kubelet's control groups, deepest first, in one hierarchy (v2) or in each (v1).
func (s State) cgroups() []string {
	var dirs []string
	for _, pattern := range []string{"kubepods", "*/kubepods"} {
		roots, _ := filepath.Glob(filepath.Join(cgroupRoot, pattern))
		for _, root := range roots {
			_ = filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
		}
	}
	slices.Reverse(dirs)
	return dirs
}
