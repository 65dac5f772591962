package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/test/harness"
)

// largeRuns have results of 1 MiB each. largeLog is a log of 1 GiB, written slowly enough to be
// followed although the kubelet rotates it every ten seconds.
const (
	largeRuns = 200
	largeLog  = `
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: large-log, labels: {indelible.dev/archiver: CLASS}}
spec:
  taskSpec:
    steps:
    - name: build
      image: IMAGE
      script: |
        i=0
        while [ $i -lt 128 ]; do
          i=$((i+1))
          yes "2026-11-20T10:42:11Z INFO block $i of example.test/shop: linking, checking and writing what was compiled before" | head -c 8388608
          sleep 1
        done
`
)

// memory measures the archiver's peak memory with large logs and results.
func (b *bench) memory(ctx context.Context) (rows []row, err error) {
	note("a log of 1 GiB, and %d TaskRuns with results of 1 MiB", largeRuns)
	p, err := b.startArchiver(ctx, "memory", setting{logs: "follow"})
	if err != nil {
		return nil, err
	}
	defer func() {
		peak, stopErr := p.stop()
		rows = append(rows,
			atMost("peak of memory while archiving a log of 1 GiB and 200 TaskRuns with results of 1 MiB",
				float64(peak)/mib, 150,
				"MiB"))
		err = errors.Join(err, stopErr, b.removeRuns(context.WithoutCancel(ctx)))
	}()
	if err := b.ready(ctx, p); err != nil {
		return nil, err
	}
	if err := b.cluster.Create(ctx, b.namespace,
		harness.WithImage(strings.ReplaceAll(largeLog, "CLASS", b.class))); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := b.cluster.WaitTaskRun(ctx, b.namespace, "large-log", harness.TaskRunDone); err != nil {
		return nil, err
	}
	began := time.Now()
	err = b.alone(ctx, func() error {
		if err := b.seed(ctx, largeRuns, func(i int) made {
			return made{name: fmt.Sprintf("large-%03d", i), created: time.Now().Add(-time.Minute), results: mib}
		}); err != nil {
			return err
		}
		_, err := b.outcome(ctx, p, "archived", largeRuns+1, began)
		return err
	})
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	content, cut := map[manifest.PartType]float64{}, ""
	for c, err := range commits(ctx, p.store()) {
		if err != nil {
			return nil, err
		}
		addContents(content, c)
		for _, part := range c.Parts {
			if part.Type == manifest.Log && part.State != manifest.Complete {
				cut = fmt.Sprintf("%s: %s", part.State, part.Reason)
			}
		}
	}
	if content[manifest.Log] != 1<<30 {
		return nil, fmt.Errorf("%.0f bytes of the log are in the archive, want all of %d; it is %s",
			content[manifest.Log], 1<<30, cmp.Or(cut, "said to be complete"))
	}
	return []row{says("what was archived then, and how long it took after the end of the log",
		"logs %.0f MiB, records %.0f MiB; %.1f s",
		content[manifest.Log]/mib, content[manifest.Record]/mib, took.Seconds())}, nil
}
