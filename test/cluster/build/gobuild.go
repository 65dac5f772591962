package build

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Module is a Go module at one version, with the checksum its content must have.
type Module struct {
	Path, Version string
	// Sum is the "h1:" checksum as in go.sum. It is compared here too, because the module is not in
	// our own go.sum.
	Sum string
}

// Target is one call of go build.
type Target struct {
	Name     string
	Dir      string
	Packages []string
	LDFlags  string
	// Usual is how long it takes with empty caches on two cores.
	Usual time.Duration
	// Inputs are what the key is made of besides the flags, the packages and the Go version.
	Inputs []string
}

// Build returns a folder with the binaries of t. They are static, so that they run in an empty
// image and on any machine of this architecture.
func (c *Cache) Build(ctx context.Context, t Target) (dir string, err error) {
	goVersion, err := output(ctx, t.Dir, "env", "GOVERSION", "GOARCH")
	if err != nil {
		return "", err
	}
	return c.Once(ctx, Entry{Name: t.Name, Key: t.key(goVersion), Usual: t.Usual},
		func(ctx context.Context, out string) error {
			_, err := output(ctx, t.Dir, append(append(t.args(), "-o", out+"/"), t.Packages...)...)
			return err
		})
}

func (t Target) args() []string {
	return []string{"build", "-mod=readonly", "-trimpath", "-ldflags", t.LDFlags}
}

// key leaves out the folder: it says where the sources are, and Inputs what they are.
func (t Target) key(goVersion string) string {
	parts := append([]string{goVersion}, t.args()...)
	return Key(append(append(parts, t.Packages...), t.Inputs...)...)
}

// Download fetches m into Go's module cache, compares its checksum and returns its folder there.
func Download(ctx context.Context, m Module) (dir string, err error) {
	answer, err := output(ctx, os.TempDir(), "mod", "download", "-json", m.Path+"@"+m.Version)
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

// flags replaces the user's GOFLAGS. Without -buildvcs=false a checkout that git does not trust, as
// root's in a container often is, fails to build.
const flags = "-buildvcs=false"

// output runs a Go command outside any workspace, without cgo, and returns what it printed; what it
// complained about becomes the error.
func output(ctx context.Context, dir string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS="+flags)
	// go ends its compilers when it is interrupted, and would leave them running when killed.
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("go %s: %w: %s", args[0], err, tail(stderr.String(), 2000))
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
