package build

import (
	"context"
	"errors"
	"fmt"
	"go/version"
	"os"
	"os/exec"
	"strings"
)

// CheckGo says what is wrong with this machine's Go before minutes of work end in a compiler's
// message. A Go that is too old will do if it may fetch the right one itself (GOTOOLCHAIN).
func CheckGo(ctx context.Context, minimum string) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("the program go is not on the PATH (%s): install Go %s or later from https://go.dev/dl; "+
			`sudo has a PATH of its own: use sudo env "PATH=$PATH"`, os.Getenv("PATH"), minimum)
	}
	answer, err := output(ctx, os.TempDir(), "env", "GOVERSION", "GOTOOLCHAIN")
	if err != nil {
		return fmt.Errorf("ask for the version of Go: %w", err)
	}
	found, toolchain, _ := strings.Cut(strings.TrimSpace(answer), "\n")
	return goSuffices(found, toolchain, minimum)
}

func goSuffices(found, toolchain, minimum string) error {
	// A development version has no number to compare; its user knows what it is.
	if !version.IsValid(found) || version.Compare(found, "go"+minimum) >= 0 {
		return nil
	}
	fetches := toolchain == "auto" || strings.HasSuffix(toolchain, "+auto")
	if fetches {
		return nil
	}
	message := fmt.Sprintf("this machine has %s, and Go %s or later is needed: install it from https://go.dev/dl",
		strings.Replace(found, "go", "Go ", 1), minimum)
	if toolchain == "local" {
		message += ", or set GOTOOLCHAIN=auto so that go fetches it itself"
	}
	return errors.New(message)
}
