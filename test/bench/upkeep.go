package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/indelible-ci/indelible/pkg/archive/catalogue"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/retention"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

const (
	// upkeepDays is over how many days the runs are spread, withParts one of how many has a log in
	// an object of its own.
	upkeepDays, withParts = 100, 5
	// listPage is how many keys a request to a bucket lists.
	listPage = 1000
	// sweepAtOnce is cmd/archiver's.
	sweepAtOnce = 100_000
)

// counted is a store that counts the requests that a bucket would get.
type counted struct {
	store.Store
	requests atomic.Int64
}

func (c *counted) Create(ctx context.Context, key string, body io.Reader) error {
	c.requests.Add(1)
	return c.Store.Create(ctx, key, body)
}

func (c *counted) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	c.requests.Add(1)
	return c.Store.Open(ctx, key)
}

func (c *counted) Stat(ctx context.Context, key string) (store.Info, error) {
	c.requests.Add(1)
	return c.Store.Stat(ctx, key)
}

func (c *counted) Delete(ctx context.Context, key string) error {
	c.requests.Add(1)
	return c.Store.Delete(ctx, key)
}

func (c *counted) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		n := 0
		for info, err := range c.Store.List(ctx, prefix, after) {
			if n%listPage == 0 {
				c.requests.Add(1)
			}
			n++
			if !yield(info, err) {
				return
			}
		}
		if n == 0 {
			c.requests.Add(1)
		}
	}
}

// upkeep measures what an archive of many runs costs while nothing is new: an index made from
// nothing, an hour's chores, fsck.
func (b *bench) upkeep(ctx context.Context) (rows []row, err error) {
	root := filepath.Join(b.folder, "upkeep")
	directory, err := newDirectory(root)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	note("writing an archive of %d runs", b.runs)
	if err := fill(ctx, root, b.runs, now); err != nil {
		return nil, err
	}
	archive := &counted{Store: directory}
	database := "sqlite://" + filepath.Join(root, "index.db")
	x, err := index.Open(ctx, database)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	step := func(what string, do func() error) (time.Duration, int64, error) {
		note("%s", what)
		began, before := time.Now(), archive.requests.Load()
		err := do()
		return time.Since(began), archive.requests.Load() - before, err
	}
	took, requests, err := step("writing segments", func() error {
		_, err := catalogue.Compact(ctx, catalogue.Options{Store: archive, Cluster: indextest.Cluster, Now: now})
		return err
	})
	if err != nil {
		return rows, err
	}
	rows = append(rows, says(fmt.Sprintf("segments of %d runs, written at once", b.runs), "%.0f s, %d requests",
		took.Seconds(), requests))
	took, requests, err = step("making an index", func() error {
		totals, err := index.Sync(ctx, index.SyncOptions{Store: archive, Index: x, Cluster: indextest.Cluster})
		if err == nil && totals.Added != b.runs {
			err = fmt.Errorf("%d runs in the index, want %d", totals.Added, b.runs)
		}
		return err
	})
	if err != nil {
		return rows, err
	}
	rows = append(rows, says("their index, made from nothing", "%.0f s, %.0f runs/s, %d requests", took.Seconds(),
		float64(b.runs)/took.Seconds(), requests))
	took, requests, err = step("an hour's chores", func() error { return chores(ctx, archive, x, now) })
	if err != nil {
		return rows, err
	}
	rows = append(rows,
		atMost(fmt.Sprintf("requests of an hour's chores with %d runs in the archive, and none new", b.runs),
			float64(requests), 200, "requests"),
		says("their time", "%.1f s", took.Seconds()))
	peak, took, err := b.fsckMemory(ctx, root, database)
	if err != nil {
		return rows, err
	}
	return append(rows, atMost("peak memory of fsck", float64(peak)/mib, 150, "MiB"),
		says("its time", "%.0f s", took.Seconds())), nil
}

// chores are what cmd/archiver does in an hour: the first part of a sweep of all parts is one of
// them.
func chores(ctx context.Context, archive store.Store, x index.Index, now time.Time) error {
	keys := func(ctx context.Context, after string) iter.Seq2[string, error] {
		return x.Keys(ctx, string(indextest.Cluster), after)
	}
	totals, err := retention.Apply(ctx, retention.Options{
		Store: archive, Index: x, Cluster: indextest.Cluster, Now: now,
		Policies: []retention.Policy{{Name: "old", After: 2 * upkeepDays * 24 * time.Hour}},
	})
	if err == nil && totals != (retention.Totals{}) {
		err = fmt.Errorf("retention did something: %+v", totals)
	}
	if err != nil {
		return err
	}
	if _, err := catalogue.Compact(ctx,
		catalogue.Options{Store: archive, Cluster: indextest.Cluster, Now: now, From: now.Add(-7 * 24 * time.Hour),
			Keys: keys}); err != nil {
		return err
	}
	// The parts are new, but they need to look old, or nothing is compared.
	swept, err := retention.Sweep(ctx, retention.SweepOptions{
		Store: archive, Index: x, Cluster: indextest.Cluster, Now: now.Add(2 * retention.MinGrace),
		Grace: retention.MinGrace, Limit: sweepAtOnce,
	})
	if err == nil && swept.Parts > 0 {
		err = fmt.Errorf("%d parts were swept", swept.Parts)
	}
	return err
}

func newDirectory(root string) (store.Store, error) {
	if err := os.MkdirAll(root, 0o750); err != nil {
		return nil, err
	}
	return store.NewDirectory(root)
}

// fill writes the objects of runs, the last one created some hours ago. Nothing waits for the disk:
// it is not what is measured.
func fill(ctx context.Context, root string, runs int, now time.Time) error {
	log, err := packLog(ctx, root)
	if err != nil {
		return err
	}
	apart := upkeepDays * 24 * time.Hour / time.Duration(runs)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for i := range runs {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			row := indextest.NewRow(i)
			indextest.Move(&row, now.Add(-4*time.Hour-apart*time.Duration(i)).Truncate(time.Second))
			c := row.Commit
			part := &c.Parts[1]
			if i%withParts > 0 {
				part.Key, part.Content, part.Stored = "", nil, nil
				part.SetText([]byte(logText), manifest.MaxTexts)
			} else {
				part.Content, part.Stored = &log.content, &log.stored
				if err := write(root, part.Key, log.object); err != nil {
					return err
				}
			}
			c.Parts[0] = manifest.InlinePart(manifest.Record, row.Record)
			c.Parts[2] = manifest.InlinePart(manifest.Events, []byte(`{"kind":"EventList"}`))
			text, err := manifest.Encode(c)
			if err != nil {
				return err
			}
			key, err := c.Key()
			if err != nil {
				return err
			}
			return write(root, key, text)
		})
	}
	return group.Wait()
}

const logText = "compiled\n"

// packedLog is a log as the archiver stores it.
type packedLog struct {
	object          []byte
	content, stored manifest.Sum
}

func packLog(ctx context.Context, root string) (l packedLog, err error) {
	const key = "log.txt.zst"
	beside := root + ".log"
	to, err := newDirectory(beside)
	if err != nil {
		return l, err
	}
	if l.content, l.stored, err = manifest.Store(ctx, to, key, strings.NewReader(logText)); err == nil {
		l.object, err = os.ReadFile(filepath.Join(beside, key))
	}
	return l, err
}

func write(root, key string, text []byte) error {
	path := filepath.Join(root, filepath.FromSlash(key))
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// fsckMemory runs the archiver's, with the memory that its Deployment gives it.
func (b *bench) fsckMemory(ctx context.Context, root, database string) (peak int64, took time.Duration, err error) {
	note("fsck")
	file := filepath.Join(b.folder, "fsck.yaml")
	text := fmt.Sprintf(
		"apiVersion: config.indelible.dev/v1alpha1\nkind: Configuration\npublisher: {image: none}\narchive: {cluster: %s, store: %q, index: %q}\n",
		indextest.Cluster, "file://"+root, database)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return 0, 0, err
	}
	cmd := exec.CommandContext(ctx, b.archiver, "fsck", "--archive-only", "--config="+file)
	cmd.Env = append(os.Environ(), "GOGC=50", "GOMEMLIMIT=130MiB")
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, 0, fmt.Errorf("fsck: %w: %.1000s", err, out)
	}
	return cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10, time.Since(began), nil
}
