package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// indexedRuns is the number of runs in the measured index, listedRuns of those in a list.
const indexedRuns, listedRuns = 3_000, 50

// index measures what a run takes in the index, once with the same copy of the Task in all runs,
// and once with parameters substituted in each copy; and listing runs with their records. It needs
// no cluster.
func (b *bench) index(ctx context.Context) (rows []row, err error) {
	for i, revision := range []string{"the same in all", ""} {
		what := []string{"the same copy of their Task", "copies in which parameters are substituted"}[i]
		note("an index of %d runs with %s", indexedRuns, what)
		each, list, err := indexed(ctx, filepath.Join(b.folder, fmt.Sprintf("index-%d.db", i)), revision)
		if err != nil {
			return rows, err
		}
		rows = append(rows,
			atMost("index, a run of a record of about 5 kB, of runs with "+what, each/1000, 1.5, "kB"),
			says(fmt.Sprintf("a list of %d of them with their records", listedRuns), "%.1f ms", ms(list)))
	}
	return rows, nil
}

func indexed(ctx context.Context, file, revision string) (each float64, list time.Duration, err error) {
	x, err := index.Open(ctx, "sqlite://"+file)
	if err != nil {
		return 0, 0, err
	}
	all := make([]index.Row, indexedRuns)
	for i := range all {
		m := finished(i)
		m.namespace, m.class, m.revision = "team", "bench", revision
		if all[i], err = indexRow(m); err != nil {
			return 0, 0, errors.Join(err, x.Close())
		}
	}
	for page := range slices.Chunk(all, 100) {
		if err := x.Put(ctx, page...); err != nil {
			return 0, 0, errors.Join(err, x.Close())
		}
	}
	const times = 20
	began := time.Now()
	for range times {
		for _, err := range x.Find(ctx, index.Query{Namespace: "team", Records: true, Limit: listedRuns}) {
			if err != nil {
				return 0, 0, errors.Join(err, x.Close())
			}
		}
	}
	list = time.Since(began) / times
	if err := x.Close(); err != nil { // moves the write-ahead log into the file
		return 0, 0, err
	}
	bytes, err := indexSize(file)
	return float64(bytes) / indexedRuns, list, err
}

// indexRow returns what the archiver adds to the index for a run.
func indexRow(m made) (index.Row, error) {
	object, err := m.object()
	if err != nil {
		return index.Row{}, err
	}
	r, err := run.Parse(object)
	if err != nil {
		return index.Row{}, err
	}
	status, reason := r.Outcome()
	return index.Row{Record: r.Record, Commit: &manifest.Commit{
		Cluster: "bench", CommittedAt: time.Now().UTC().Truncate(time.Millisecond),
		Versions: manifest.Versions{Archiver: "dev", Kubernetes: "v1.36.3", Tekton: "v1.15.0"},
		Run: manifest.Run{
			APIVersion: r.APIVersion, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, UID: string(r.UID),
			Created:   r.CreationTimestamp.UTC(),
			Completed: r.Completed(), Status: status, Reason: reason, Result: string(r.UID),
		},
		Parts: []manifest.Part{manifest.InlinePart(manifest.Record, r.Record)},
	}}, nil
}
