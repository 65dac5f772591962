package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"syscall"

	"github.com/indelible-ci/indelible/test/cluster/node"
)

func setupStatus(c *cli, _ *flag.FlagSet) func(context.Context, []string) error {
	return func(ctx context.Context, _ []string) error {
		return c.node().Status(ctx, c.out)
	}
}

func setupKubeconfig(c *cli, _ *flag.FlagSet) func(context.Context, []string) error {
	return func(context.Context, []string) error {
		path := c.node().Kubeconfig()
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("no cluster in %s: start one with up", c.state)
		}
		_, err := fmt.Fprintln(c.out, path)
		return err
	}
}

// kubectl becomes the cluster's kubectl, so that its terminal, signals and exit code are as usual.
func (c *cli) kubectl(args []string) error {
	state := node.State(c.state)
	if _, err := os.Stat(state.Kubectl()); err != nil {
		return fmt.Errorf("no cluster in %s: start one with up", c.state)
	}
	words, environment := append([]string{"kubectl"}, args...), append(os.Environ(), "KUBECONFIG="+state.Kubeconfig())
	return syscall.Exec(state.Kubectl(), words, environment) //nolint:gosec // the arguments are the user's own
}
