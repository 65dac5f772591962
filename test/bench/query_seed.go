package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

const (
	// queryNamespaces and queryPipelines are over what runs are spread; a tenth of all is in the
	// first namespace. queryDays is over how many days.
	queryNamespaces, queryPipelines, queryDays = 20, 50, 100
	// runsOfResult is how many runs a Result has: a PipelineRun, and TaskRuns that it made.
	runsOfResult = 4
	// failing is one TaskRun of how many that failed.
	failing = 20
)

// queryRun returns the nth of runs, the last of which was created at now: TaskRuns of 5 kB with a
// copy of their Task, and for each three of them a PipelineRun of the same size.
func queryRun(n, all int, now time.Time) index.Row {
	row := indextest.NewRow(n)
	run := &row.Commit.Run
	tree := n / runsOfResult
	choice := rand.New(rand.NewPCG(uint64(tree), 7)) //nolint:gosec // it must be the same each time
	namespace := choice.IntN(queryNamespaces)
	if choice.IntN(20) == 0 {
		namespace = 0
	}
	parent := indextest.NewRow(tree * runsOfResult).Commit.Run
	edits := []string{
		run.Namespace, fmt.Sprintf("team-%d", namespace), run.Result, parent.UID,
		"checkout-on-pull-request", fmt.Sprintf("pipeline-%d", choice.IntN(queryPipelines)),
	}
	created := now.Add(-queryDays * 24 * time.Hour / time.Duration(all) * time.Duration(all-n)).Truncate(time.Second)
	moved := created.Sub(run.Created)
	for _, at := range []time.Time{run.Created, run.Created.Add(time.Second), *run.Completed} {
		edits = append(edits, at.Format(time.RFC3339), at.Add(moved).Format(time.RFC3339))
	}
	if n%runsOfResult == 0 {
		run.Kind = pipelineRunKind
		edits = append(edits, `"kind":"TaskRun"`, `"kind":"PipelineRun"`, `"ownerReferences":[`,
			`"ownerReferences":[],"was":[`)
	} else if n%failing == 1 {
		run.Status, run.Reason = "False", "Failed"
		edits = append(edits, `"reason":"Succeeded","status":"True"`, `"reason":"Failed","status":"False"`)
	}
	for i := 0; i < len(edits); i += 2 {
		row.Record = bytes.ReplaceAll(row.Record, []byte(edits[i]), []byte(edits[i+1]))
	}
	run.Namespace, run.Result = fmt.Sprintf("team-%d", namespace), parent.UID
	completed := run.Completed.Add(moved)
	run.Completed, row.Commit.CommittedAt = &completed, row.Commit.CommittedAt.Add(moved)
	indextest.Move(&row, created)
	row.Commit.Parts[0] = manifest.InlinePart(manifest.Record, row.Record)
	row.Commit = row.Commit.Bare()
	return row
}

const pipelineRunKind = "PipelineRun"

// seedQueries puts runs from..to into an index, and returns how long the index took, of which
// making the runs is no part.
func seedQueries(ctx context.Context, x index.Index, from, to, all int, now time.Time) (time.Duration, error) {
	const page = 256
	var took time.Duration
	for ; from < to && ctx.Err() == nil; from += 16 * page {
		rows := make([]index.Row, min(16*page, to-from))
		var makers sync.WaitGroup
		for w := range 2 {
			makers.Go(func() {
				for i := w; i < len(rows); i += 2 {
					rows[i] = queryRun(from+i, all, now)
				}
			})
		}
		makers.Wait()
		began := time.Now()
		if err := putPages(ctx, x, rows, page); err != nil {
			return took, err
		}
		took += time.Since(began)
	}
	return took, ctx.Err()
}

// putPages puts rows page by page, several at a time, as a rebuild does.
func putPages(ctx context.Context, x index.Index, rows []index.Row, page int) error {
	errs := make(chan error, len(rows)/page+1)
	var group sync.WaitGroup
	slots := make(chan struct{}, 3)
	for len(rows) > 0 {
		n := min(page, len(rows))
		part := rows[:n]
		rows = rows[n:]
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if err := x.Put(ctx, part...); err != nil {
				errs <- err
			}
		})
	}
	group.Wait()
	close(errs)
	return <-errs
}
