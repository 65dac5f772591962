package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// manyRuns are in the cluster when the archiver starts; openRuns of them are not archived yet.
	manyRuns, openRuns = 100_000, 5_000
	// freshRuns finish after that, one by one.
	freshRuns = 50
)

// start measures starts in a large cluster: with the events that its runs leave, and without.
func (b *bench) start(ctx context.Context) (rows []row, err error) {
	note("%d runs in the cluster, %d of them not archived", manyRuns, openRuns)
	err = b.alone(ctx, func() (err error) {
		if err := b.seed(ctx, manyRuns, func(i int) made {
			m := made{name: fmt.Sprintf("old-%06d", i), created: time.Now().Add(-time.Duration(i) * time.Minute),
				results: 500}
			m.released = i%(manyRuns/openRuns) != 0
			return m
		}); err != nil {
			return err
		}
		rows, err = b.started(ctx)
		if err == nil {
			var paged row
			paged, err = b.startedByPages(ctx)
			rows = append(rows, paged)
		}
		if err == nil {
			var with []row
			with, err = b.startedWithEvents(ctx)
			rows = append(rows, with...)
		}
		return errors.Join(err, b.removeRuns(context.WithoutCancel(ctx)))
	})
	return rows, err
}

func (b *bench) started(ctx context.Context) (rows []row, err error) {
	began := time.Now()
	p, err := b.startArchiver(ctx, "start", setting{logs: "follow"})
	if err != nil {
		return nil, err
	}
	defer func() {
		peak, stopErr := p.stop()
		rows = append(rows, atMost(fmt.Sprintf("start with %d runs in the cluster: peak of memory", manyRuns),
			float64(peak)/mib, 300,
			"MiB"))
		err = errors.Join(err, stopErr)
	}()
	if err := b.ready(ctx, p); err != nil {
		return nil, err
	}
	synced := time.Since(began)
	var own, whole []time.Duration
	left := 0.0
	for i := range freshRuns {
		seen, took, err := b.fresh(ctx, p, i)
		if err != nil {
			return rows, err
		}
		own, whole = append(own, seen), append(whole, took)
		s, err := p.samples(ctx)
		if err != nil {
			return rows, err
		}
		left = openRuns + float64(i) + 1 - s.sum("indelible_archive_runs_total", `outcome="committed"`)
	}
	rows = append(rows,
		says("state of the cluster known after", "%.1f s", synced.Seconds()),
		says(fmt.Sprintf(
			"%d runs that finish while the old ones are archived: seen done → committed and verified, p50, "+
				"largest", freshRuns), "%.0f ms, %.0f ms",
			ms(quantile(own, .5)), ms(quantile(own, 1))),
		says("the same from their being written into etcd, p50, largest", "%.0f ms, %.0f ms", ms(quantile(whole, .5)),
			ms(quantile(whole, 1))),
		says("old runs that were not committed when the last of these was", "%.0f of %d", left, openRuns))
	took, err := b.outcome(ctx, p, "committed", openRuns+freshRuns, began)
	return append(rows, says("all of them committed and verified after", "%.0f s", took.Seconds())), err
}

// startedByPages measures the start if the API server cannot stream lists (WatchList, KEP-3157).
func (b *bench) startedByPages(ctx context.Context) (row, error) {
	p, err := b.startArchiver(ctx, "start-by-pages",
		setting{logs: "follow", environment: []string{"KUBE_FEATURE_WatchListClient=false"}})
	if err != nil {
		return row{}, err
	}
	err = b.ready(ctx, p)
	peak, stopErr := p.stop()
	return atMost(fmt.Sprintf("the same with a list in pages, until %d runs are known", manyRuns),
		float64(peak)/mib, 300,
		"MiB"), errors.Join(err, stopErr)
}

// fresh writes a run that has just finished, and waits for its commit. It returns how long that
// took: on the archiver's clock since it saw the run, and on the bench's since it was written.
func (b *bench) fresh(ctx context.Context, p *process, i int) (own, whole time.Duration, err error) {
	before, err := p.samples(ctx)
	if err != nil {
		return 0, 0, err
	}
	m := made{namespace: b.namespace, class: b.class, name: fmt.Sprintf("fresh-%d", i),
		created: time.Now().Add(-time.Minute), results: 2000}
	object, err := m.object()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := b.etcd.write(ctx, 1, func(int) (string, []byte, error) {
		return b.prefix("taskruns") + m.name, object,
			nil
	}); err != nil {
		return 0, 0, err
	}
	err = b.until(ctx, m.name+" is committed", func() (bool, error) {
		after, err := p.samples(ctx)
		own = time.Duration((after.sum(latencyMetric+"_sum") - before.sum(latencyMetric+"_sum")) * float64(time.Second))
		return err == nil && after.sum(latencyMetric+"_count") > before.sum(latencyMetric+"_count"), err
	})
	return own, time.Since(began), err
}
