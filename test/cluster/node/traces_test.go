package node

import (
	"slices"
	"testing"
)

func TestMountsBelow(t *testing.T) {
	const mountinfo = `21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 21 254:0 /state/kubelet /state/kubelet rw,relatime shared:1 - ext4 /dev/vda rw
31 30 0:39 / /state/kubelet/pods/1/volumes/token rw,relatime shared:2 - tmpfs tmpfs rw
32 21 0:4 net:[4026532178] /state/run/with\040space rw - nsfs nsfs rw
33 21 0:40 / /state-of-another/mount rw - tmpfs tmpfs rw
34 21 0:41 / /state rw - tmpfs tmpfs rw
35 31 0:42 / /state/kubelet/pods/1/volumes/token rw - tmpfs tmpfs rw
broken line
`
	for name, test := range map[string]struct {
		dir  string
		want []string
	}{
		"lists those below, last mounted first, stacked ones twice": {"/state", []string{
			"/state/kubelet/pods/1/volumes/token", "/state/run/with space", "/state/kubelet/pods/1/volumes/token",
			"/state/kubelet"}},
		"lists none of a folder without mounts": {"/other", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mountsBelow(mountinfo, test.dir); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestRootIsOurs(t *testing.T) {
	const containerd = "/state/containerd"
	for name, test := range map[string]struct {
		mountinfo string
		want      bool
	}{
		"allows an overlay of our layers": {"1 0 0:5 / / rw - overlay overlay " +
			"rw,lowerdir=/state/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs,upperdir=/x", true},
		"allows a copy bound from ours": {"1 0 254:0 /state/containerd/io.containerd.snapshotter.v1.native/snapshots/1 / " +
			"rw - ext4 /dev/vda rw", true},
		"forbids another runtime's": {
			"1 0 0:5 / / rw - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/X", false,
		},
		"forbids a process that only has one of our folders mounted": {"1 0 254:0 / / rw - ext4 /dev/vda rw\n" +
			"2 1 0:5 / /mnt rw - overlay overlay rw,lowerdir=/state/containerd/x", false},
		"forbids a folder whose name only begins alike": {"1 0 0:5 / / rw - overlay overlay " +
			"rw,lowerdir=/state/containerd-of-another/x", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := rootIsOurs(test.mountinfo, containerd); got != test.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestShimSocketOf(t *testing.T) {
	// printf %s /state/run/containerd.sock/k8s.io/abc | sha256sum
	const want = "/run/containerd/s/d4877342af1adc19c767b33c464237f42a8f19f436a4dbd00b30207878a3dfd1"
	got := shimSocketOf([]string{"/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", "abc", "-address",
		"/state/run/containerd.sock"})
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestListeners(t *testing.T) {
	// /proc/net/tcp of a machine with a server on 6443 (192B hexadecimal), a client of it, and
	// another server.
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:192B 0100007F:8D2C 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:8D2C 0100007F:192B 01 00000000:00000000 00:00000000 00000000     0        0 4713 1 0000000000000000 20 4 30 10 -1
   3: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4714 1 0000000000000000 100 0 0 10 0
`
	for name, test := range map[string]struct {
		port uint16
		want []string
	}{
		"finds the listener and not its connections": {6443, []string{"4711"}},
		"finds another port":                         {22, []string{"4714"}},
		"finds nobody on a port that is only used":   {36140, nil},
		"finds nobody on a free port":                {80, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := listeners(table, test.port); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
