package main

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// maxSize is what issue and README promise: every node that runs TaskRuns holds a copy.
const maxSize = 8_000_000

// build makes the binary as the image does.
func build(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "publisher")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, text)
	}
	return out
}

func TestBinary(t *testing.T) {
	path := build(t)
	t.Run("is at most 8 MB", func(t *testing.T) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d bytes", info.Size())
		if info.Size() > maxSize {
			t.Errorf("%d bytes, more than %d", info.Size(), maxSize)
		}
	})
	t.Run("is statically linked, so that it runs in any image", func(t *testing.T) {
		f, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
				t.Errorf("the binary has a %s segment", p.Type)
			}
		}
	})
	t.Run("installs itself", func(t *testing.T) {
		dest := filepath.Join(t.TempDir(), "installed")
		if text, err := exec.CommandContext(t.Context(), path, "install", dest).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		text, err := exec.CommandContext(t.Context(), dest, "version").Output()
		if err != nil || strings.TrimSpace(string(text)) == "" {
			t.Errorf("the copy's version is %q, %v", text, err)
		}
	})
}

func TestImports(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f",
		"{{if not .Standard}}{{.ImportPath}}{{end}}",
		".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(string(out)) {
		if !strings.HasPrefix(path, "github.com/indelible-ci/indelible/") {
			t.Errorf("imports %s; the publisher uses the standard library only", path)
		}
	}
	if !strings.Contains(string(out), "github.com/indelible-ci/indelible/pkg/publisher\n") {
		t.Error("go list does not name pkg/publisher: this test sees nothing")
	}
}
