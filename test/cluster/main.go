// Command cluster runs a real Kubernetes node with Tekton Pipelines on this machine, from Go
// modules and Debian packages.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(exitCode()) }

func exitCode() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "cluster: interrupted; the same command goes on where this one ended")
	default:
		fmt.Fprintln(os.Stderr, "cluster:", err)
	}
	return 1
}
