package harness

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrNotLocal says that something can be done to the local cluster of test/cluster only.
var ErrNotLocal = errors.New("this is not the local cluster of test/cluster")

// Local runs a command of test/cluster on the cluster. KUBECTL tells whether it is the local one: it is then that tool's own.
func (c *Cluster) Local(ctx context.Context, args ...string) error {
	words := strings.Fields(c.kubectl)
	if len(words) != 2 || filepath.Base(words[0]) != "cluster" || words[1] != "kubectl" {
		return ErrNotLocal
	}
	out, err := exec.CommandContext(ctx, words[0], args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("running cluster %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
