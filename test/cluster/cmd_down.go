package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
)

func setupDown(c *cli, flags *flag.FlagSet) func(context.Context, []string) error {
	purge := flags.Bool("purge", false,
		"also remove the cluster's folder: its objects, images, volumes, certificates and logs")
	return func(ctx context.Context, _ []string) error {
		if os.Geteuid() != 0 {
			return errors.New("down needs root, as up does")
		}
		ctx, cancel := context.WithTimeout(ctx, downWithin)
		defer cancel()
		release, err := c.alone(ctx)
		if err != nil {
			return err
		}
		defer release()
		if err := c.node().Down(ctx, *purge, c.log); err != nil {
			return err
		}
		return c.checkClean(ctx)
	}
}

func setupCheckClean(c *cli, _ *flag.FlagSet) func(context.Context, []string) error {
	return func(ctx context.Context, _ []string) error { return c.checkClean(ctx) }
}

func (c *cli) checkClean(ctx context.Context) error {
	left, err := c.node().Leftovers(ctx)
	for _, line := range left {
		fmt.Fprintln(c.out, line)
	}
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%d things of the cluster are left on this machine", len(left))
	}
	if err == nil {
		c.log("nothing of the cluster is left on this machine outside %s", c.state)
	}
	return err
}
