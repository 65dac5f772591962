package node

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestCutRule(t *testing.T) {
	for name, tt := range map[string]struct {
		ip    string
		error bool
	}{
		"allow the address of a pod":                 {ip: "10.244.0.17"},
		"forbid the node's own address":              {ip: "10.244.0.1", error: true},
		"forbid an address outside the pods' range":  {ip: "192.0.2.1", error: true},
		"forbid what is no address":                  {ip: "0.0.0.0/0", error: true},
		"forbid what iptables would take for a flag": {ip: "--flush", error: true},
	} {
		t.Run(name, func(t *testing.T) {
			rule, err := cutRule(tt.ip)
			if (err != nil) != tt.error {
				t.Fatalf("got error %v", err)
			}
			if err == nil && !ours("-A "+strings.Join(rule, " ")) {
				t.Error("down and check-clean would not know the rule as the cluster's")
			}
		})
	}
}

func TestStartKeepsNothingOfItsCallerOpen(t *testing.T) {
	state := stateWith(t)
	file, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	inherited, err := syscall.Dup(int(file.Fd())) // without close-on-exec, as one from a shell
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(file.Close(), syscall.Close(inherited)) })
	if err := os.Remove(state.bin("etcd")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(state.bin("etcd"), []byte("#!/bin/sh\nls /proc/self/fd\nexec sleep 60\n"),
		0o755); err != nil {
		t.Fatal(err)
	}
	if err := state.start(component{name: "etcd"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = state.stop("etcd", patience) })
	var log []byte
	for until := time.Now().Add(patience); strings.Count(string(log), "\n") < 4 &&
		time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if log, err = os.ReadFile(state.log("etcd")); err != nil {
			t.Fatal(err)
		}
	}
	for _, fd := range strings.Fields(string(log)) {
		if fd == strconv.Itoa(inherited) {
			t.Errorf("file descriptor %s of the caller is open in the component", fd)
		}
	}
}

func TestRestartOfWhatDoesNotRun(t *testing.T) {
	err := State(t.TempDir()).Restart(context.Background(), "kube-apiserver")
	if err == nil || !strings.Contains(err.Error(), "does not run") {
		t.Errorf("got %v, want an error that says that it does not run", err)
	}
}
