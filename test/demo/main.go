// Command demo shows Indelible's main job on a cluster where it is installed: it runs a Pipeline of
// plain Tasks whose results Tekton alone could not carry, lets another pod try to forge one,
// deletes a TaskRun and reads it back from the archive, by the archiver's command and by the query
// API, and prints what happened.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1) //nolint:gocritic // exitAfterDefer: nothing deferred matters at the end of the process
	}
}
