// Command bench measures the archiver and the overhead of publishing on the current cluster, and
// prints the tables of docs/measurements.md: each figure with its target.
//
// It starts an archiver of its own, as a process beside the control plane, for the runs it creates.
// On the local cluster of test/cluster it writes finished runs straight into etcd, as creating
// 100,000 through the API server would take an hour. On other clusters it refuses such
// measurements.
//
// run.go has the flags and the list of measurements. The measurements:
//
//	latency.go    one run at a time, from done to committed
//	backlog.go, pipelines.go
//	              many finished runs, or PipelineRuns with their TaskRuns, at the start
//	start.go      a start in a large cluster, hourevents.go: with an hour's events;
//	              memory.go: with large logs and results
//	bytes.go, index.go
//	              sizes in the bucket and in the index
//	logs.go       throughput of logs; upkeep.go: requests without new runs
//	overhead.go   what publishing costs a TaskRun; peer.go: Tekton Results beside Indelible
//
// archiver.go and peer.go start the measured processes, seed.go, object.go and etcd.go create runs,
// machine.go and processes.go measure the machine, table.go prints.
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
		os.Exit(1) //nolint:gocritic // stop need not run
	}
}
