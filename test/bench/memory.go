package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
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
			if part.Type == manifest.Log {
				if err := wantLargeLog(ctx, p.store(), &part); err != nil {
					return nil, errors.Join(err, errors.New(cmp.Or(cut, "and it is said to be complete")))
				}
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
	got := bufio.NewReaderSize(content, 64<<10)
	var before []byte
	for i := 1; i <= 128; i++ {
		line := fmt.Sprintf("2026-11-20T10:42:11Z INFO block %d of example.test/shop: linking, checking and writing what was compiled before\n", i)
		for left := 8388608; left > 0; {
			want := []byte(line[:min(left, len(line))])
			left -= len(want)
			is := make([]byte, len(want))
			if n, err := io.ReadFull(got, is); err != nil || !bytes.Equal(is, want) {
				more := make([]byte, 300)
				m, _ := io.ReadFull(got, more)
				return fmt.Errorf("block %d, %d bytes before its end: after %q comes %q, want %q (%w)", i, left, before,
					append(is[:n], more[:m]...), want, cmp.Or(err, errors.New("other content")))
			}
			before = is
		}
	}
	return nil
}
