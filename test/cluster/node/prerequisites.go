package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// requirement is a program or file of this machine and the Debian package it comes from.
type requirement struct{ path, debian string }

// Busybox is the static busybox of Debian's busybox-static.
const Busybox = "/bin/busybox"

var requirements = []requirement{
	{"runc", "runc"},
	{filepath.Join(cniPlugins, "bridge"), "containernetworking-plugins"},
	{filepath.Join(cniPlugins, "host-local"), "containernetworking-plugins"},
	{"iptables-save", "iptables"},
	{"nft", "nftables"},
	{"ip", "iproute2"},
	{"conntrack", "conntrack"},
	{Busybox, "busybox-static"},
}

// Machine is what the prerequisites are checked against.
type Machine struct {
	OS, Arch string
	UID      int
	// Has says whether a program is on the PATH, or a file exists if the name is a path.
	Has func(name string) bool
	// Install installs Debian packages; nil on other systems.
	Install func(ctx context.Context, packages []string) error
	// Memory is in bytes; 0 if unknown.
	Memory uint64
	// Free is the space that is left for a folder, which need not exist yet; 0 if unknown.
	Free func(dir string) uint64
	Log  func(format string, args ...any)
}

// ThisMachine describes the machine this runs on.
func ThisMachine(log func(string, ...any)) Machine {
	machine := Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, UID: os.Geteuid(), Log: log, Has: has, Memory: memory(),
		Free: free}
	if has("apt-get") && has("dpkg") {
		machine.Install = install
	}
	return machine
}

// Check ends with an error that says what is missing and how to get it, or with everything in
// place.
func (m Machine) Check(ctx context.Context) error {
	if m.OS != "linux" {
		return fmt.Errorf("the cluster needs Linux, this is %s: use an existing cluster by its kubeconfig instead",
			m.OS)
	}
	if m.Arch != "amd64" && m.Arch != "arm64" {
		return fmt.Errorf("the cluster runs on amd64 and arm64, this is %s", m.Arch)
	}
	if m.UID != 0 {
		return fmt.Errorf(
			"the cluster needs root, for containers, mounts and network interfaces: run this with sudo, " +
				"or use an existing cluster by its kubeconfig instead")
	}
	if m.Memory != 0 && m.Memory < memoryNeeded {
		return fmt.Errorf("the cluster needs 4 GB of memory, this machine has %s", gigabytes(m.Memory))
	}
	missing := m.missing()
	if len(missing) > 0 && m.Install != nil {
		m.Log("installing the Debian packages %s", strings.Join(missing, " "))
		if err := m.Install(ctx, missing); err != nil {
			return fmt.Errorf("install the Debian packages %s: %w", strings.Join(missing, " "), err)
		}
		missing = m.missing()
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing: %s (names of Debian packages; on Debian and Ubuntu: apt-get install %s)%s",
			strings.Join(m.missingFiles(), ", "), strings.Join(missing, " "), atPath(m.missingFiles()))
	}
	return nil
}

// atPath explains which of the missing things must be at a certain place.
func atPath(files []string) string {
	for _, file := range files {
		if filepath.IsAbs(strings.Fields(file)[0]) {
			return "; CNI plugins are looked for in " + cniPlugins + ", a static busybox at " + Busybox
		}
	}
	return ""
}

func (m Machine) missing() []string {
	var packages []string
	seen := map[string]bool{}
	for _, requirement := range requirements {
		if !m.Has(requirement.path) && !seen[requirement.debian] {
			seen[requirement.debian] = true
			packages = append(packages, requirement.debian)
		}
	}
	return packages
}

func (m Machine) missingFiles() []string {
	var files []string
	for _, requirement := range requirements {
		if !m.Has(requirement.path) {
			files = append(files, fmt.Sprintf("%s (%s)", requirement.path, requirement.debian))
		}
	}
	return files
}

func has(name string) bool {
	if filepath.IsAbs(name) {
		_, err := os.Stat(name)
		return err == nil
	}
	_, err := exec.LookPath(name)
	return err == nil
}

// install asks nothing, and refreshes the package lists only if the packages are not found without.
func install(ctx context.Context, packages []string) error {
	args := append([]string{"DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--no-install-recommends"},
		packages...)
	if _, err := run(ctx, "", "env", args...); err == nil {
		return nil
	}
	if _, err := run(ctx, "", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "update"); err != nil {
		return err
	}
	_, err := run(ctx, "", "env", args...)
	return err
}
