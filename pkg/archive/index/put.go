package index

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"

	"github.com/indelible-ci/indelible/pkg/archive/index/pack"
)

// batch is what one transaction writes.
type batch struct {
	*database
	tx      *sql.Tx
	intern  *pending
	results map[resultKey]*resultDelta
	rollups map[cell]*rollup
	labels  []labelRow
}

func (d *database) newBatch(tx *sql.Tx) *batch {
	return &batch{database: d, tx: tx, intern: d.interned.begin(), results: map[resultKey]*resultDelta{},
		rollups: map[cell]*rollup{}}
}

// put adds rows. It deletes rows that exist first, so that specs and counts change in one way only.
func (b *batch) put(ctx context.Context, rows []*packedRow) error {
	rows = lastOfEach(rows)
	if len(rows) == 0 {
		return nil
	}
	if err := b.replace(ctx, rows); err != nil {
		return err
	}
	ids, err := b.dialect.ids(ctx, b.tx, runsTable.name, len(rows))
	if err != nil {
		return err
	}
	specs, err := b.specs(ctx, rows)
	if err != nil {
		return err
	}
	runs, records := make([]any, 0, len(rows)*len(runsTable.columns)),
		make([]any, 0, len(rows)*len(recordsTable.columns))
	for i, row := range rows {
		columns, err := b.hot(ctx, ids[i], row)
		if err != nil {
			return err
		}
		runs = append(append(runs, row.columns...), columns...)
		records = append(records, ids[i], specs[string(row.digest)], row.record)
	}
	if err := b.insert(ctx, &runsTable, runs); err != nil {
		return err
	}
	if err := b.insert(ctx, &recordsTable, records); err != nil {
		return err
	}
	if err := b.flush(ctx); err != nil {
		return err
	}
	return b.shadow(ctx, rows)
}

// insert adds rows to a table.
func (b *batch) insert(ctx context.Context, t *table, values []any) error {
	return b.inserter.insert(ctx, b.tx, t, values)
}

// lastOfEach leaves one row per run, sorted, so that two programs cannot deadlock.
func lastOfEach(rows []*packedRow) []*packedRow {
	last := make(map[[2]string]*packedRow, len(rows))
	for _, row := range rows {
		last[[2]string{row.cluster, row.uid}] = row
	}
	return slices.SortedFunc(maps.Values(last), func(a, b *packedRow) int {
		return cmp.Or(cmp.Compare(a.cluster, b.cluster), cmp.Compare(a.uid, b.uid))
	})
}

// replace deletes rows that exist.
func (b *batch) replace(ctx context.Context, rows []*packedRow) error {
	uids := map[string][]string{}
	for _, row := range rows {
		uids[row.cluster] = append(uids[row.cluster], row.uid)
	}
	for _, cluster := range slices.Sorted(maps.Keys(uids)) {
		if err := b.delete(ctx, cluster, uids[cluster]); err != nil {
			return err
		}
	}
	return nil
}

// specs returns the ids of the rows' specs by digest, null for none, and stores new specs.
func (b *batch) specs(ctx context.Context, rows []*packedRow) (map[string]sql.NullInt64, error) {
	ids := map[string]sql.NullInt64{"": {}}
	for _, row := range slices.SortedFunc(slices.Values(rows), func(a, b *packedRow) int {
		return slices.Compare(a.digest, b.digest)
	}) {
		if _, ok := ids[string(row.digest)]; ok {
			continue
		}
		var id sql.NullInt64
		err := b.tx.StmtContext(ctx, b.findSpec).QueryRowContext(ctx, row.digest).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			err = b.tx.StmtContext(ctx, b.putSpec).QueryRowContext(ctx, row.digest, pack.Pack(row.spec)).Scan(&id)
		}
		if err != nil {
			return nil, err
		}
		ids[string(row.digest)] = id
	}
	return ids, nil
}

// hot returns the columns that lists read, and notes what the row adds to labels, Results and
// rollups.
func (b *batch) hot(ctx context.Context, id int64, row *packedRow) ([]any, error) {
	h := &row.hot
	groupID, scopeID, err := b.intern.group(ctx, b.tx, h.group(row.cluster))
	if err != nil {
		return nil, err
	}
	pipeline, err := b.intern.name(ctx, b.tx, h.pipeline)
	if err != nil {
		return nil, err
	}
	repository, err := b.intern.name(ctx, b.tx, h.repo)
	if err != nil {
		return nil, err
	}
	b.note(id, groupID, h)
	b.noteResult(resultKey{scopeID, row.result}, id, row)
	return []any{id, groupID, h.started, pipeline, repository, h.flags}, nil
}

// note adds a row to labels and rollups. An object has its id negated.
func (b *batch) note(id, groupID int64, h *hot) {
	labels := h.labels
	if h.isOdd() { // lists do not find it by labels
		labels = nil
	}
	for _, label := range labels {
		b.labels = append(b.labels, labelRow{label, h.created, id, groupID})
	}
	for _, span := range spans {
		c := cell{groupID, span, truncate(h.created, span)}
		if b.rollups[c] == nil {
			b.rollups[c] = &rollup{}
		}
		b.rollups[c].add(h)
	}
}

// flush writes what was noted, sorted by key.
func (b *batch) flush(ctx context.Context) error {
	if err := b.flushLabels(ctx); err != nil {
		return err
	}
	var results, annotated []resultKey
	results = slices.SortedFunc(maps.Keys(b.results), func(a, b resultKey) int {
		return cmp.Or(cmp.Compare(a.scope, b.scope), cmp.Compare(a.name, b.name))
	})
	var values []any
	for _, key := range results {
		r := b.results[key]
		values = append(values, key.scope, key.name, r.created, r.updated, r.runs, r.root, r.rootAt, 0)
		if r.annotated {
			annotated = append(annotated, key)
		}
	}
	if err := b.insert(ctx, &resultsTable, values); err != nil {
		return err
	}
	clear(b.results)
	for _, key := range annotated {
		if err := b.annotate(ctx, key); err != nil {
			return err
		}
	}
	return b.flushRollups(ctx)
}
