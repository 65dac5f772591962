package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/test/harness"
)

const latencyMetric = "indelible_archive_commit_latency_seconds"

// logTask prints 100 lines. Its runs are archived by the bench's archiver, and have no results.
const logTask = `
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: NAME, labels: {indelible.dev/archiver: CLASS}, annotations: {build.example.test/commit: DIGEST}}
spec:
  taskSpec:
    steps:
    - name: build
      image: IMAGE
      script: |
        i=0
        while [ $i -lt 100 ]; do
          i=$((i+1)); h=$(echo NAME $i | md5sum | cut -c1-8)
          echo "2026-11-20T10:42:11.${i}Z INFO compiling example.test/shop/module-$i ($h, $((i * 37 % 91)) files) in 0.$((i * 7919 % 997))s"
        done
`

// latency measures runs executed by Tekton, one at a time, from when the archiver sees a run done
// to its verified commit. The figure is the archiver's own: the growth of a histogram's sum by one
// run is exact.
func (b *bench) latency(ctx context.Context) ([]row, error) {
	var rows []row
	for _, c := range []struct {
		logs, name string
		target     float64
	}{{"none", "without logs", 40}, {"follow", "with logs", 100}} {
		note("%d TaskRuns, one after the other, %s", b.idle, c.name)
		committed, released, err := b.latencies(ctx, "latency-"+c.logs, c.logs)
		if err != nil {
			return rows, err
		}
		what := fmt.Sprintf("TaskRun seen done → committed and verified, %s, idle (%d runs)", c.name, b.idle)
		rows = append(rows,
			atMost(what+", p50", ms(quantile(committed, .5)), c.target, "ms"),
			atMost(what+", p99", ms(quantile(committed, .99)), 500, "ms"),
			says("the same → released, as another watch sees both, p50, p99", "%.1f ms, %.1f ms",
				ms(quantile(released, .5)),
				ms(quantile(released, .99))))
	}
	return rows, nil
}

func (b *bench) latencies(ctx context.Context, name, logs string) (committed, released []time.Duration, err error) {
	p, err := b.startArchiver(ctx, name, setting{logs: logs})
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		_, stopErr := p.stop()
		// Otherwise fsck of another archive would look for them there.
		err = errors.Join(err, stopErr, b.removeRuns(context.WithoutCancel(ctx)))
	}()
	if err := b.ready(ctx, p); err != nil {
		return nil, nil, err
	}
	for i := range b.idle + 1 {
		before, err := p.samples(ctx)
		if err != nil {
			return nil, nil, err
		}
		took, err := b.oneRun(ctx, fmt.Sprintf("%s-%d", name, i), logTask)
		if err != nil {
			return nil, nil, err
		}
		after, err := p.samples(ctx)
		if err != nil {
			return nil, nil, err
		}
		if n := after.sum(latencyMetric+"_count") - before.sum(latencyMetric+"_count"); n != 1 {
			return nil, nil, fmt.Errorf("%v runs were committed, want 1", n)
		}
		if i == 0 {
			continue // a warm-up that opens connections
		}
		seconds := after.sum(latencyMetric+"_sum") - before.sum(latencyMetric+"_sum")
		committed = append(committed, time.Duration(math.Round(seconds*1e6))*time.Microsecond)
		released = append(released, took)
	}
	return committed, released, nil
}

// oneRun creates a TaskRun, and returns how long after its end its finalizer was removed.
func (b *bench) oneRun(ctx context.Context, name, task string) (time.Duration, error) {
	return b.oneRunUntil(ctx, name, task, func(t *pipelinev1.TaskRun) bool {
		return t.Annotations["indelible.dev/archived"] != "" && !has(t.Finalizers, run.Finalizer)
	})
}

func (b *bench) oneRunUntil(
	ctx context.Context, name, task string, over func(*pipelinev1.TaskRun) bool,
) (time.Duration, error) {
	text := strings.NewReplacer("NAME", name, "CLASS", b.class, "DIGEST", digest(20)).Replace(task)
	if err := b.cluster.Create(ctx, b.namespace, harness.WithImage(text)); err != nil {
		return 0, err
	}
	var done, released time.Time
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := b.cluster.WaitTaskRun(ctx, b.namespace, name, func(t *pipelinev1.TaskRun) bool {
		if done.IsZero() && t.IsDone() {
			done = time.Now()
		}
		released = time.Now()
		return t.IsDone() && over(t)
	})
	return released.Sub(done), err
}

func has(all []string, one string) bool { return strings.Contains(strings.Join(all, " "), one) }
