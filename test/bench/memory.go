package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
	"github.com/indelible-ci/indelible/test/harness"
)

// largeRuns have results of 1 MiB each. largeLog is a log of more than 1 GiB, in largeBlocks of
// linesOfBlock, written slowly enough to be followed although the kubelet rotates it every ten
// seconds. It pauses between lines only: of a line that is half written when the log is rotated,
// the kubelet may leave out that half, also for kubectl logs -f.
const (
	largeRuns                 = 200
	largeBlocks, linesOfBlock = 128, 74_000
	largeLog                  = `
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
        while [ $i -lt BLOCKS ]; do
          i=$((i+1))
          yes "2026-11-20T10:42:11Z INFO block $i of example.test/shop: linking, checking and writing what was compiled before" | head -n LINES
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
		harness.WithImage(strings.NewReplacer("CLASS", b.class, "BLOCKS", strconv.Itoa(largeBlocks), "LINES",
			strconv.Itoa(linesOfBlock)).Replace(largeLog))); err != nil {
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
			if part.Type == manifest.Log {
				if err := wantLargeLog(ctx, p.store(), &part); err != nil {
					return nil, errors.Join(err, errors.New(cmp.Or(cut, "it is said to be complete")))
				}
			}
		}
	}
	if cut != "" {
		return nil, fmt.Errorf("the log is not said to be complete, but %s", cut)
	}
	return []row{says("what was archived then, and how long it took after the end of the log",
		"logs %.0f MiB, records %.0f MiB; %.1f s",
		content[manifest.Log]/mib, content[manifest.Record]/mib, took.Seconds())}, nil
}

// wantLargeLog compares a log with what the step of largeLog printed.
func wantLargeLog(ctx context.Context, folder string, part *manifest.Part) error {
	s, err := store.NewDirectory(folder)
	if err != nil {
		return err
	}
	content, err := manifest.Open(ctx, s, part)
	if err != nil {
		return err
	}
	defer content.Close()
	got := bufio.NewScanner(content)
	for i := 1; i <= largeBlocks; i++ {
		want := fmt.Sprintf("2026-11-20T10:42:11Z INFO block %d of example.test/shop: "+
			"linking, checking and writing what was compiled before", i)
		for n := 1; n <= linesOfBlock; n++ {
			if !got.Scan() || got.Text() != want {
				return fmt.Errorf("line %d of block %d is %.200q, want %q (%w)", n, i, got.Text(), want,
					cmp.Or(got.Err(), errors.New("no error")))
			}
		}
	}
	if got.Scan() {
		return fmt.Errorf("after the last line comes %.200q", got.Text())
	}
	return got.Err()
}
