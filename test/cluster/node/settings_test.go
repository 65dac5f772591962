package node

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestSettings(t *testing.T) {
	state := State(t.TempDir())
	forward, panics := filepath.Join(t.TempDir(), "ip_forward"), filepath.Join(t.TempDir(), "panic")
	absent := filepath.Join(t.TempDir(), "absent")
	write := func(path, value string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(path string) string {
		t.Helper()
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	write(forward, "0\n")
	write(panics, "5\n")
	// The second save is that of an up on a running cluster: it must not take the cluster's values
	// for the machine's.
	for range 2 {
		if err := state.saveSettings([]string{forward, panics, absent}); err != nil {
			t.Fatal(err)
		}
		if got := read(forward); got != "1" {
			t.Errorf("forwarding is %q while the cluster runs", got)
		}
		write(panics, "10\n")
	}
	for range 2 {
		if err := state.restoreSettings(); err != nil {
			t.Fatal(err)
		}
		if read(forward) != "0" || read(panics) != "5" {
			t.Errorf("got %q and %q, want 0 and 5", read(forward), read(panics))
		}
	}
	for _, path := range []string{state.savedSettings(), absent} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
