// Command bench measures the archiver, and what publishing costs a TaskRun, on the cluster at hand.
// It prints what docs/measurements.md has: each number with its target.
//
// It starts an archiver of its own, as a process beside the control plane, that archives nothing
// but the runs made here. On the local cluster of test/cluster finished runs are written straight
// into etcd, as making a hundred thousand through the API server would take an hour; elsewhere what
// needs them is refused.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := runBench(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // stop has nothing to do any more
	}
}
