package main

import (
	"context"
	"errors"
	"flag"

	"github.com/indelible-ci/indelible/test/cluster/node"
)

func setupRestart(c *cli, _ *flag.FlagSet) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		if len(args) != 1 {
			return errors.New("restart needs the name of one component, as status lists them")
		}
		return c.node().Restart(ctx, args[0])
	}
}

func setupCut(_ *cli, flags *flag.FlagSet) func(context.Context, []string) error {
	mend := flags.Bool("mend", false, "let the pod's packets through again")
	return func(ctx context.Context, args []string) error {
		if len(args) != 1 {
			return errors.New("cut needs the address of one pod")
		}
		return node.Cut(ctx, args[0], *mend)
	}
}
