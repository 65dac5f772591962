package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestMachineCheck(t *testing.T) {
	machine := func() Machine {
		return Machine{OS: "linux", Arch: "amd64", Memory: 8e9, Has: func(string) bool { return true }, Log: t.Logf}
	}
	lacks := func(names ...string) func(string) bool {
		return func(name string) bool { return !slices.Contains(names, name) }
	}
	for name, test := range map[string]struct {
		change func(*Machine)
		want   string
	}{
		"allows a machine that has everything":     {change: func(*Machine) {}},
		"allows a machine whose memory is unknown": {change: func(m *Machine) { m.Memory = 0 }},
		"allows a machine of 4 GB":                 {change: func(m *Machine) { m.Memory = 4025628 * 1024 }},
		"forbids another system, and says what to do": {func(m *Machine) { m.OS = "darwin" },
			"needs Linux, this is darwin: use an existing cluster by its kubeconfig"},
		"forbids another architecture": {func(m *Machine) { m.Arch = "riscv64" },
			"amd64 and arm64, this is riscv64"},
		"forbids a user who is not root": {func(m *Machine) { m.UID = 1000 },
			"needs root, for containers, mounts and network interfaces: run this with sudo"},
		"forbids a machine with too little memory": {func(m *Machine) { m.Memory = 2e9 },
			"needs 4 GB of memory, this machine has 2.0 GB"},
		"forbids a missing program where there is no apt": {func(m *Machine) { m.Has = lacks("runc", "nft") },
			"missing: runc (runc), nft (nftables) (names of Debian packages; on Debian and Ubuntu: apt-get install runc " +
				"nftables)"},
		"forbids a missing CNI plugin, and says where it is looked for": {func(m *Machine) {
			m.Has = lacks(
				"/usr/lib/cni/bridge")
		},
			"CNI plugins are looked for in /usr/lib/cni"},
		"forbids packages that cannot be installed": {func(m *Machine) {
			m.Has = lacks("runc")
			m.Install = func(context.Context, []string) error { return errors.New("no network") }
		}, "install the Debian packages runc: no network"},
		"forbids a program that its package did not bring": {func(m *Machine) {
			m.Has = lacks("runc")
			m.Install = func(context.Context, []string) error { return nil }
		}, "missing: runc (runc)"},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine()
			test.change(&m)
			expect(t, m.Check(t.Context()), test.want)
		})
	}
}

func TestMachineCheckInstallsEachPackageOnce(t *testing.T) {
	var installed []string
	machine := Machine{OS: "linux", Arch: "arm64", Log: t.Logf, Has: func(name string) bool {
		return installed != nil || !strings.HasPrefix(name, "/usr/lib/cni/")
	}}
	machine.Install = func(_ context.Context, packages []string) error {
		installed = append(installed, packages...)
		return nil
	}
	if err := machine.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if want := []string{"containernetworking-plugins"}; !slices.Equal(installed, want) {
		t.Errorf("installed %v, want %v", installed, want)
	}
}

func TestCheckSpace(t *testing.T) {
	for name, test := range map[string]struct {
		cache, state uint64
		builds       bool
		want         string
	}{
		"allows enough for all":                      {cache: 20e9, state: 20e9, builds: true},
		"allows a fuller disk when nothing is built": {cache: 4e9, state: 4e9},
		"allows what is unknown":                     {builds: true},
		"forbids building on a full disk": {cache: 14e9, state: 14e9, builds: true,
			want: "needs 15 GB of disk, and 14.0 GB are free for /cache"},
		"forbids a cluster on a full disk of its own": {cache: 20e9, state: 1e9, builds: true,
			want: "needs 3 GB of disk, and 1.0 GB are free for /state"},
	} {
		t.Run(name, func(t *testing.T) {
			machine := Machine{Free: func(dir string) uint64 {
				return map[string]uint64{"/cache": test.cache,
					"/state": test.state}[dir]
			}}
			expect(t, machine.CheckSpace("/state", "/cache", test.builds), test.want)
		})
	}
}

func TestMemTotal(t *testing.T) {
	if got := memTotal("MemTotal:        4025628 kB\nMemFree:         1 kB\n"); got != 4122243072 {
		t.Errorf("got %d", got)
	}
	if got := memTotal("nothing"); got != 0 {
		t.Errorf("got %d", got)
	}
}

func TestFreeOfAFolderThatIsNotThereYet(t *testing.T) {
	dir := t.TempDir()
	if got := free(dir + "/not/yet"); got == 0 || got > free(dir)*2 {
		t.Errorf("got %d, and %d above it", got, free(dir))
	}
}

// expect compares an error with the text it must have; empty means no error.
func expect(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case err == nil && want != "":
		t.Errorf("allowed, want %q", want)
	case err != nil && (want == "" || !strings.Contains(err.Error(), want)):
		t.Errorf("got %q, want %q", err, want)
	}
}
