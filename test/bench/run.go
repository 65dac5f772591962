package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/indelible-ci/indelible/test/harness"
)

// bench is what all measurements share.
type bench struct {
	cluster *harness.Cluster
	// etcd is nil where the cluster is not the local one.
	etcd *etcd
	// folder is on the disk that is measured; everything that is made is below it.
	folder string
	// archiver and s3 are programs.
	archiver, s3 string
	// class is the label of the runs that are measured, and namespace where they are.
	class, namespace string
	// idle is how many runs of Tekton are measured one after the other.
	idle int
	// pairs is how many TaskRuns of each kind are measured for overhead.
	pairs int
	// runs is how many runs are in the archive for upkeep, pipelines how many PipelineRuns in a
	// backlog.
	runs, pipelines int
	// minutes is how long runs come for flow.
	minutes int
	out     io.Writer
}

// measurement is one of the things that can be measured by itself.
type measurement struct {
	name string
	do   func(*bench, context.Context) ([]row, error)
	// results says that it is not of the archive: it needs none of the programs, and is made only
	// when it is named.
	results bool
	// local says that it needs no cluster and no program, and is made only when it is named.
	local bool
}

var measurements = []measurement{
	{name: "latency", do: (*bench).latency},
	{name: "bytes", do: (*bench).bytes},
	{name: "index", do: (*bench).index},
	{name: "backlog", do: (*bench).backlogDirectory},
	{name: "backlog-s3", do: (*bench).backlogS3},
	{name: "backlog-pipelines", do: (*bench).backlogPipelines},
	{name: "memory", do: (*bench).memory},
	{name: "start", do: (*bench).start},
	{name: "logs", do: (*bench).logs},
	{name: "flow", do: (*bench).flow},
	{name: "upkeep", do: (*bench).upkeep},
	{name: "peer", do: (*bench).peer},
	{name: "peer-logs", do: (*bench).peerLogs},
	{name: "overhead", do: (*bench).overhead, results: true},
	{name: "query", do: (*bench).query, local: true},
}

// chosen are the measurements to make: those named, with commas between, or all of the archive.
func chosen(only string) []measurement {
	return slices.DeleteFunc(slices.Clone(measurements), func(m measurement) bool {
		if only == "" {
			return m.results || m.local
		}
		return !slices.Contains(strings.Split(only, ","), m.name)
	})
}

// needsPrograms says whether any of them starts an archiver or an S3 server.
func needsPrograms(chosen []measurement) bool {
	return slices.ContainsFunc(chosen, func(m measurement) bool { return !m.results && !m.local })
}

func runBench(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", "",
		"measurements to make, with commas between; by default all of the archive: "+names())
	folder := flags.String("directory", "",
		"where archives are made, on the disk to be measured; by default a directory that is removed at the end")
	archiver := flags.String("archiver", "", "the archiver to measure; by default it is built")
	idle := flags.Int("idle", 50, "runs of Tekton for latency, with logs and without")
	pairs := flags.Int("pairs", 40, "TaskRuns of each kind for overhead")
	runs := flags.Int("runs", 1_000_000, "runs in the archive for upkeep")
	pipelines := flags.Int("pipelines", 20_000, "PipelineRuns in a backlog")
	minutes := flags.Int("minutes", 60, "minutes for flow")
	if err := flags.Parse(args); err != nil {
		return err
	}
	measure := chosen(*only)
	if !slices.ContainsFunc(measure, func(m measurement) bool { return !m.local }) {
		return runLocal(ctx, measure, *folder, *runs, out)
	}
	b, err := newBench(*folder, out)
	if err != nil {
		return err
	}
	b.idle, b.pairs, b.runs, b.pipelines, b.minutes = *idle, *pairs, *runs, *pipelines, *minutes
	defer os.RemoveAll(b.folder)
	if needsPrograms(measure) {
		if err := b.buildPrograms(ctx, *archiver); err != nil {
			return err
		}
	}
	if err := b.cluster.CreateNamespace(ctx, b.namespace, nil); err != nil {
		return err
	}
	defer b.cleanUp(context.WithoutCancel(ctx))
	if err := b.describe(ctx); err != nil {
		return err
	}
	return b.make(ctx, measure)
}

// runLocal makes measurements that need nothing but this machine.
func runLocal(ctx context.Context, measure []measurement, folder string, runs int, out io.Writer) error {
	folder, err := os.MkdirTemp(orElse(folder, "/var/tmp"), "indelible-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	b := &bench{folder: folder, runs: runs, out: out}
	return b.make(ctx, measure)
}

// make makes measurements, and prints what they found.
func (b *bench) make(ctx context.Context, measure []measurement) error {
	fmt.Fprint(b.out, head)
	var failed error
	for _, m := range measure {
		if ctx.Err() != nil {
			break
		}
		rows, err := m.do(b, ctx)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", m.name, err))
		}
		for _, r := range rows {
			fmt.Fprint(b.out, r)
		}
	}
	return failed
}

func names() string {
	var all []string
	for _, m := range measurements {
		all = append(all, m.name)
	}
	return strings.Join(all, ",")
}

func newBench(folder string, out io.Writer) (*bench, error) {
	cluster, err := harness.Connect()
	if err != nil {
		return nil, err
	}
	// Not the usual place for temporary files, which may be in memory.
	if folder, err = os.MkdirTemp(orElse(folder, "/var/tmp"), "indelible-bench-"); err != nil {
		return nil, err
	}
	id := "bench-" + rand.String(6)
	b := &bench{cluster: cluster, folder: folder, archiver: filepath.Join(folder, "archiver"),
		s3: filepath.Join(folder, "s3"), class: id, namespace: id, out: out}
	if b.etcd, err = openEtcd(filepath.Dir(os.Getenv("KUBECONFIG"))); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *bench) buildPrograms(ctx context.Context, archiver string) error {
	var err error
	if archiver == "" {
		err = build(ctx, ".", b.archiver, "./cmd/archiver")
	} else {
		err = os.Symlink(archiver, b.archiver) // its name tells it from others in readCPU
	}
	if err != nil {
		return err
	}
	return build(ctx, "test/storage", b.s3, "./cmd/s3")
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// cleanUp takes away what was made in the cluster, also after an interruption.
func (b *bench) cleanUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := errors.Join(b.removeRuns(ctx), b.cluster.DeleteNamespace(ctx, b.namespace)); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
}

// note says on standard error what is being done: the table takes minutes.
func note(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}
