//go:build cluster

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLifecycle runs a cluster of its own from nothing to nothing, in a folder of its own, with the
// builds of the cache:
//
//	go test -tags cluster -run TestLifecycle -count 1 -timeout 45m -v .
//
// It needs root. Addresses, ports and the bridge are there once on a machine, so it refuses one on
// which a cluster runs.
func TestLifecycle(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("the lifecycle test needs root")
	}
	if out, err := exec.Command("ip", "link", "show", "indelible0").CombinedOutput(); err == nil {
		t.Fatalf("a cluster runs on this machine, end it first:\n%s", out)
	}
	state, err := os.MkdirTemp("/var/lib", "indelible-lifecycle-")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("INDELIBLE_CLUSTER_STATE", state)
	tool := t.TempDir() + "/cluster"
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", tool, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() {
		// Not t.Context(), which has ended; and not only the last step's down, which a failure
		// would skip.
		if out, err := exec.Command(tool, "down", "--purge").CombinedOutput(); err != nil {
			t.Errorf("final down: %v\n%s", err, out)
			return
		}
		if err := os.RemoveAll(state); err != nil {
			t.Error(err)
		}
	})
	before := machine(t)
	fails := func(args ...string) string { return clusterCommand(t, tool, false, args...) }
	passes := func(args ...string) string { return clusterCommand(t, tool, true, args...) }

	fails("status")
	passes("check-clean")
	passes("up")
	pids := passes("kubectl", "get", "pods", "--all-namespaces", "--output=jsonpath={.items[*].metadata.uid}")
	processes := passes("status")
	if first, _, found := strings.Cut(processes, "\n\n"); found {
		processes = first
	}

	t.Run("a second up changes nothing", func(t *testing.T) {
		passes("up")
		if now := passes("status"); !strings.HasPrefix(now, processes) {
			t.Errorf("components were started again:\n%s\nbefore:\n%s", now, processes)
		}
		if now := passes("kubectl", "get", "pods", "--all-namespaces",
			"--output=jsonpath={.items[*].metadata.uid}"); now != pids {
			t.Errorf("pods were started again: %s, before: %s", now, pids)
		}
	})
	t.Run("status prints the versions", func(t *testing.T) {
		status := strings.Join(strings.Fields(passes("status")), " ")
		for _, want := range []string{"Kubernetes 1.36.3", "containerd 2.2.1", "runc ", "Tekton 1.15.0"} {
			if !strings.Contains(status, want) {
				t.Errorf("lacks %q:\n%s", want, status)
			}
		}
	})
	// A pod that mounts an image as a volume asks for it by its ID, which containerd must have been
	// made to look up again.
	t.Run("load replaces an image under its name", func(t *testing.T) {
		archive := filepath.Join(t.TempDir(), "image.tar")
		for _, path := range []string{"/first", "/second", "/first"} {
			passes("images", "--binary", "/usr/bin/busybox", "--as", path, "--tag", "lifecycle:dev", "--output",
				archive)
			passes("load", archive)
		}
	})
	t.Run("check-clean sees a cluster that runs", func(t *testing.T) {
		left := fails("check-clean")
		for _, want := range []string{"process ", "mount ", "interface indelible0", "iptables ",
			"socket /run/containerd/s/"} {
			if !strings.Contains(left, want) {
				t.Errorf("does not list %q:\n%s", want, left)
			}
		}
	})
	t.Run("up goes on after a killed up", func(t *testing.T) {
		passes("down")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		// Killed wherever it is after five seconds: in the middle of starting the components.
		_ = exec.CommandContext(ctx, tool, "up").Run()
		passes("up")
		passes("status")
	})
	t.Run("the first down leaves nothing", func(t *testing.T) {
		passes("down")
		passes("check-clean")
		if after := machine(t); after != before {
			t.Errorf("this machine has\n%s\nand had\n%s", after, before)
		}
	})
	t.Run("a second down has nothing to do", func(t *testing.T) { passes("down") })
}

func clusterCommand(t *testing.T, tool string, want bool, args ...string) string {
	t.Helper()
	start := time.Now()
	process := exec.CommandContext(t.Context(), tool, args...)
	var stderr strings.Builder
	process.Stderr = &stderr
	stdout, err := process.Output()
	t.Logf("cluster %s: %s, error %v\n%s", strings.Join(args, " "), time.Since(start).Round(time.Second), err,
		stderr.String())
	if (err == nil) != want {
		t.Fatalf("cluster %s: error %v\n%s%s", strings.Join(args, " "), err, stdout, stderr.String())
	}
	return string(stdout)
}

// machine describes what a cluster could leave, by other means than check-clean's.
func machine(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `
		ls /sys/class/net
		# Tables that were looked at once exist, with empty chains of the kernel; rules and other chains are what counts.
		{ iptables-save; ip6tables-save; } | grep -v -e '^[#*]' -e '^COMMIT' -e ' ACCEPT \['
		cut -d' ' -f5 /proc/self/mountinfo | sort
		ls /run/containerd/s /var/log/containers 2>/dev/null
		cat /proc/sys/net/ipv4/ip_forward /proc/sys/vm/overcommit_memory /proc/sys/kernel/panic
		# Zombies have ended; when they are reaped is up to this machine's init.
		ps -eo stat=,args= | grep -v '^Z' | grep -E 'containerd|kube|etcd' | grep -v grep | cut -c6-
		true`).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
