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

// IsLocal tells whether this is the local cluster of test/cluster: KUBECTL is then that tool's own.
func (c *Cluster) IsLocal() bool {
	words := strings.Fields(c.kubectl)
	return len(words) == 2 && filepath.Base(words[0]) == "cluster" && words[1] == "kubectl"
}

// Local runs a command of test/cluster on the cluster.
func (c *Cluster) Local(ctx context.Context, args ...string) error {
	if !c.IsLocal() {
		return ErrNotLocal
	}
	out, err := exec.CommandContext(ctx, strings.Fields(c.kubectl)[0], args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("running cluster %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
