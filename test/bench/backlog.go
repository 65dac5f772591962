package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	// backlogRuns is the number of runs that are finished when the archiver starts.
	backlogRuns = 10_000
	// releasedRuns is after how many removed finalizers to stop waiting: removing takes longer.
	releasedRuns = 2_000
)

// drained is the result of a backlog.
type drained struct {
	synced, committed, released time.Duration
	committing, releasing       string
	peak                        int64
}

func (b *bench) backlogDirectory(ctx context.Context) ([]row, error) {
	return b.backlog(ctx, "a directory", 400, "backlog", setting{logs: "follow"})
}

func (b *bench) backlogS3(ctx context.Context) (rows []row, err error) {
	s3, err := b.startS3("backlog-s3")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s3.stop()) }()
	s3.logs = "follow"
	return b.backlog(ctx, "S3 (versitygw)", 250, "backlog-to-s3", s3.setting)
}

// backlog measures how fast finished runs get into a store.
func (b *bench) backlog(ctx context.Context, where string, target float64, name string, s setting) ([]row, error) {
	runs := backlogRuns
	note("a backlog of %d runs, into %s", runs, where)
	var d drained
	err := b.alone(ctx, func() (err error) {
		if err := b.seed(ctx, runs, finished); err != nil {
			return err
		}
		if d, err = b.drain(ctx, name, s, runs); err == nil {
			err = b.fsck(ctx, filepath.Join(b.folder, name), s)
		}
		return errors.Join(err, b.removeRuns(context.WithoutCancel(ctx)))
	})
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(b.folder, name)
	index, err := indexSize(filepath.Join(folder, "index.db"))
	if err != nil {
		return nil, err
	}
	rows := []row{
		atLeast(fmt.Sprintf("backlog of %d runs into %s, committed and verified, from the start of the process",
			runs, where),
			float64(runs)/d.committed.Seconds(), target,
			"runs/s"),
		says("what a run costs until then, on average", "%s", d.committing),
		says("released, that is annotated and without finalizer, after all were committed", "%.0f runs/s",
			releasedRuns/(d.released-d.committed).Seconds()),
		says("what the release of a run costs", "%s", d.releasing),
		says("state of the cluster known after; peak of memory", "%.1f s; %d MiB", d.synced.Seconds(), d.peak/mib),
		atMost("size of the index, a run", float64(index)/float64(runs)/1000, 1.5, "kB"),
	}
	if s.store == "" {
		stored, err := size(filepath.Join(folder, "archive"))
		if err != nil {
			return rows, err
		}
		rows = append(rows, says("the same in the directory, without logs and events", "%.2f kB",
			float64(stored)/float64(runs)/1000))
	}
	return rows, os.RemoveAll(folder)
}

// finished returns run i of a backlog, finished within the last hour.
func finished(i int) made {
	return made{name: fmt.Sprintf("finished-%06d", i),
		created: time.Now().Add(-time.Hour + time.Duration(i%3000)*time.Second), results: 2000}
}

func (b *bench) drain(ctx context.Context, name string, s setting, runs int) (d drained, err error) {
	first, err := readCPU()
	if err != nil {
		return d, err
	}
	began := time.Now()
	p, err := b.startArchiver(ctx, name, s)
	if err != nil {
		return d, err
	}
	defer func() {
		peak, stopErr := p.stop()
		d.peak, err = peak, errors.Join(err, stopErr)
	}()
	if err := b.ready(ctx, p); err != nil {
		return d, err
	}
	d.synced = time.Since(began)
	if d.committed, err = b.outcome(ctx, p, "committed", runs, began); err != nil {
		return d, err
	}
	second, err := readCPU()
	if err != nil {
		return d, err
	}
	if d.released, err = b.outcome(ctx, p, "archived", releasedRuns, began); err != nil {
		return d, err
	}
	third, err := readCPU()
	d.committing, d.releasing = second.since(first, runs), third.since(second, releasedRuns)
	return d, err
}

// outcome waits until n runs had an outcome, and returns the time since began.
func (b *bench) outcome(
	ctx context.Context, p *process, outcome string, runs int, began time.Time,
) (time.Duration, error) {
	err := b.until(ctx, fmt.Sprintf("%d runs are %s", runs, outcome), func() (bool, error) {
		s, err := p.samples(ctx)
		return err == nil && s.sum("indelible_archive_runs_total", `outcome="`+outcome+`"`) >= float64(runs), err
	})
	return time.Since(began), err
}

// fsck compares an archive with itself, the index and the marked runs: a fast archive must also be
// correct.
func (b *bench) fsck(ctx context.Context, folder string, s setting) error {
	//nolint:gosec // G702: the measured archiver
	cmd := exec.CommandContext(ctx, b.archiver, "fsck", "--class="+b.class, "--kubeconfig="+os.Getenv("KUBECONFIG"),
		"--config="+filepath.Join(folder, "config.yaml"))
	cmd.Env = append(os.Environ(), s.environment...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fsck: %w: %.2000s", err, out)
	}
	return nil
}
