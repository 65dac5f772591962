package build

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Module is a Go module at one version, with the checksum its content must have.
type Module struct {
	Path, Version string
	// Sum is the "h1:" checksum as in go.sum. It is compared here too, because the module is not in our own go.sum.
	Sum string
}

// Target is one call of go build.
type Target struct {
	Name     string
	Dir      string
	Packages []string
	LDFlags  string
	// Inputs are what the key is made of besides the flags, the packages and the Go version.
	Inputs []string
}

// Build returns a folder with the binaries of t. They are static, so that they run in an empty image and on any machine
// of this architecture.
func (c *Cache) Build(ctx context.Context, t Target) (dir string, err error) {
	goVersion, err := output(ctx, t.Dir, "go", "env", "GOVERSION", "GOARCH")
	if err != nil {
		return "", err
	}
	args := []string{"build", "-mod=readonly", "-trimpath", "-ldflags", t.LDFlags}
	parts := append([]string{goVersion}, args...)
	parts = append(append(parts, t.Packages...), t.Inputs...)
	return c.Once(ctx, t.Name, Key(parts...), func(ctx context.Context, out string) error {
		_, err := output(ctx, t.Dir, "go", append(append(args, "-o", out+"/"), t.Packages...)...)
		return err
	})
}

// Download fetches m into Go's module cache, compares its checksum and returns its folder there.
func Download(ctx context.Context, m Module) (dir string, err error) {
	answer, err := output(ctx, os.TempDir(), "go", "mod", "download", "-json", m.Path+"@"+m.Version)
	if err != nil {
		return "", fmt.Errorf("download %s %s: %w", m.Path, m.Version, err)
	}
	var got struct{ Dir, Sum string }
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		return "", fmt.Errorf("download %s %s: %w", m.Path, m.Version, err)
	}
	if got.Sum != m.Sum {
		return "", fmt.Errorf("%s %s has the checksum %s, but %s is pinned", m.Path, m.Version, got.Sum, m.Sum)
	}
	return got.Dir, nil
}

// output runs a Go command outside any workspace, without cgo, and returns what it printed; what it complained about
// becomes the error.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args[:1], " "), err, tail(stderr.String(), 2000))
	}
	return stdout.String(), nil
}

// tail keeps the end of text: that is where a compiler says what failed.
func tail(text string, limit int) string {
	text = strings.TrimSpace(text)
	if len(text) <= limit {
		return text
	}
	return "…" + text[len(text)-limit:]
}
