package index

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/indelible-ci/indelible/pkg/archive/index/pack"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

var (
	runsTable = table{name: "indelible_runs", columns: []string{
		"cluster", "namespace", "name", "uid", "api_version", "kind", "result", "status", "reason", "created", "completed", "committed", "manifest", "parent",
		"id", "grp", "started", "pipeline", "repository", "flags",
	}}
	recordsTable = table{name: "indelible_records", columns: []string{"id", "spec", "data"}}
	labelsTable  = table{name: "indelible_labels", columns: []string{"label", "created", "run", "grp"}, conflict: " ON CONFLICT DO NOTHING"}
	resultsTable = table{
		name: "indelible_results", columns: []string{"scope", "name", "created", "updated", "runs", "root", "root_at", "object"},
		conflict: ` ON CONFLICT (scope, name) DO UPDATE SET
			created = CASE WHEN excluded.created < indelible_results.created THEN excluded.created ELSE indelible_results.created END,
			updated = CASE WHEN excluded.updated > indelible_results.updated THEN excluded.updated ELSE indelible_results.updated END,
			runs = indelible_results.runs + excluded.runs,
			root = CASE WHEN excluded.root_at > indelible_results.root_at THEN excluded.root ELSE indelible_results.root END,
			root_at = CASE WHEN excluded.root_at > indelible_results.root_at THEN excluded.root_at ELSE indelible_results.root_at END`,
	}
	rollupsTable = table{
		name: "indelible_rollups", columns: []string{"grp", "span", "at", "runs", "logs", "events", "timed", "days", "seconds", "shortest", "longest", "started"},
		conflict: ` ON CONFLICT (grp, span, at) DO UPDATE SET
			runs = indelible_rollups.runs + excluded.runs, logs = indelible_rollups.logs + excluded.logs, events = indelible_rollups.events + excluded.events,
			timed = indelible_rollups.timed + excluded.timed, days = indelible_rollups.days + excluded.days, seconds = indelible_rollups.seconds + excluded.seconds,
			shortest = CASE WHEN indelible_rollups.shortest < excluded.shortest THEN indelible_rollups.shortest ELSE coalesce(excluded.shortest, indelible_rollups.shortest) END,
			longest = CASE WHEN indelible_rollups.longest > excluded.longest THEN indelible_rollups.longest ELSE coalesce(excluded.longest, indelible_rollups.longest) END,
			started = CASE WHEN indelible_rollups.started > excluded.started THEN indelible_rollups.started ELSE coalesce(excluded.started, indelible_rollups.started) END`,
	}
)

// resultKey is what a Result is found by.
type resultKey struct {
	scope int64
	name  string
}

// resultDelta is what rows of a batch add to a Result.
type resultDelta struct {
	created, updated, runs, root, rootAt int64
	annotated                            bool
}

// batch is what one transaction writes.
type batch struct {
	*database
	tx      *sql.Tx
	intern  *pending
	results map[resultKey]*resultDelta
	rollups map[cell]*rollup
	labels  []labelRow
}

// labelRow is a row of the table of labels.
type labelRow struct{ label, created, run, group int64 }

func (d *database) newBatch(tx *sql.Tx) *batch {
	return &batch{database: d, tx: tx, intern: d.interned.begin(), results: map[resultKey]*resultDelta{}, rollups: map[cell]*rollup{}}
}

// put adds rows. Rows that are there are deleted before, so that there is one way that specs and counts are left.
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
	runs, records := make([]any, 0, len(rows)*len(runsTable.columns)), make([]any, 0, len(rows)*len(recordsTable.columns))
	for i, row := range rows {
		columns, err := b.hot(ctx, ids[i], row)
		if err != nil {
			return err
		}
		runs = append(append(runs, row.columns...), columns...)
		records = append(records, ids[i], specs[string(row.digest)], row.record)
	}
	if err := errors.Join(b.insert(ctx, &runsTable, runs), b.insert(ctx, &recordsTable, records)); err != nil {
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

// lastOfEach leaves one row of each run, in the order of their keys: so two programs never wait for each other.
func lastOfEach(rows []*packedRow) []*packedRow {
	last := make(map[[2]string]*packedRow, len(rows))
	for _, row := range rows {
		last[[2]string{row.cluster, row.uid}] = row
	}
	return slices.SortedFunc(maps.Values(last), func(a, b *packedRow) int { return cmp.Or(cmp.Compare(a.cluster, b.cluster), cmp.Compare(a.uid, b.uid)) })
}

// replace deletes the rows that are there.
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

// specs returns the ids of the specs that rows refer to, by digest, null for none.
func (b *batch) specs(ctx context.Context, rows []*packedRow) (map[string]sql.NullInt64, error) {
	ids := map[string]sql.NullInt64{"": {}}
	for _, row := range slices.SortedFunc(slices.Values(rows), func(a, b *packedRow) int { return slices.Compare(a.digest, b.digest) }) {
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

// hot returns the columns of a row that lists look at, and notes what it adds to labels, results and rollups.
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

// note adds a row, of which the id of an object is negative, to labels and rollups.
func (b *batch) note(id, groupID int64, h *hot) {
	labels := h.labels
	if h.isOdd() { // nobody looks for it by its labels
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

func (b *batch) noteResult(key resultKey, id int64, row *packedRow) {
	h := &row.hot
	d := b.results[key]
	if d == nil {
		d = &resultDelta{created: h.created * 1e6, updated: row.committed}
		b.results[key] = d
	}
	d.runs++
	d.created, d.updated = min(d.created, h.created*1e6), max(d.updated, row.committed)
	if h.flags&flagRoot != 0 && row.committed > d.rootAt {
		d.root, d.rootAt = id, row.committed
	}
	d.annotated = d.annotated || h.flags&flagAnnotations != 0
}

// flush writes what was noted, in the order of keys.
func (b *batch) flush(ctx context.Context) error {
	if err := b.flushLabels(ctx); err != nil {
		return err
	}
	var results, annotated []resultKey
	results = slices.SortedFunc(maps.Keys(b.results), func(a, b resultKey) int { return cmp.Or(cmp.Compare(a.scope, b.scope), cmp.Compare(a.name, b.name)) })
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

// flushLabels has neighbours in the table come one after the other: they are all over it, and each page is written once.
func (b *batch) flushLabels(ctx context.Context) error {
	slices.SortFunc(b.labels, func(a, b labelRow) int {
		return cmp.Or(cmp.Compare(a.label, b.label), cmp.Compare(a.created, b.created), cmp.Compare(a.run, b.run))
	})
	values := make([]any, 0, len(b.labels)*len(labelsTable.columns))
	for _, l := range b.labels {
		values = append(values, l.label, l.created, l.run, l.group)
	}
	b.labels = b.labels[:0]
	return b.insert(ctx, &labelsTable, values)
}

// annotate makes a Result's annotations: those that its runs have for it, a later one's before an earlier one's.
func (b *batch) annotate(ctx context.Context, key resultKey) error {
	all := map[string]string{}
	rows, err := b.tx.QueryContext(ctx, selectRun+` FROM indelible_runs r JOIN indelible_scopes s ON s.id = $1
		WHERE r.result = $2 AND r.namespace = s.namespace AND r.cluster = s.cluster AND r.flags & $3 <> 0 ORDER BY r.committed, r.uid`, key.scope, key.name, flagAnnotations)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var s stored
		if err := rows.Scan(s.columns(false)...); err != nil {
			return err
		}
		row, err := s.row(false)
		if err != nil {
			return err
		}
		maps.Copy(all, row.Commit.Run.ResultAnnotations)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	var text []byte
	if len(all) > 0 {
		if text, err = json.Marshal(all); err != nil {
			return err
		}
	}
	_, err = b.tx.ExecContext(ctx, `UPDATE indelible_results SET annotations = $1 WHERE scope = $2 AND name = $3`, text, key.scope, key.name)
	return err
}

// delete leaves nothing of runs, also not the copy of a Task if it was the last that had it.
func (b *batch) delete(ctx context.Context, cluster string, uids []string) error {
	found, err := b.find(ctx, cluster, uids)
	if err != nil || len(found) == 0 {
		return err
	}
	results, cells := map[resultKey]bool{}, map[cell]bool{}
	for _, s := range found {
		if err := b.deleteRow(ctx, s); err != nil {
			return err
		}
		scopeID, err := b.intern.scope(ctx, b.tx, scope{s.cluster, s.namespace})
		if err != nil {
			return err
		}
		results[resultKey{scopeID, s.result}] = true
		for _, span := range spans {
			cells[cell{s.group, span, truncate(s.created, span)}] = true
		}
	}
	for key := range results {
		if err := b.recountResult(ctx, key); err != nil {
			return err
		}
	}
	if err := b.recountCells(ctx, cells); err != nil {
		return err
	}
	return b.unshadow(ctx, found)
}

// storedHot is a row with its group.
type storedHot struct {
	stored
	id, group int64
	// committed and kind are read by migrations alone.
	committed int64
	kind      string
}

func (b *batch) find(ctx context.Context, cluster string, uids []string) (found []*storedHot, err error) {
	rows, err := b.tx.QueryContext(ctx, selectRun+`, d.data, d.spec, NULL, r.id, r.grp FROM indelible_runs r LEFT JOIN indelible_records d ON d.id = r.id
		WHERE r.cluster = $1 AND r.uid`+b.dialect.any("$2", words)+` ORDER BY r.uid`, cluster, b.dialect.list(uids))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		s := &storedHot{}
		if err := rows.Scan(append(s.columns(true), &s.id, &s.group)...); err != nil {
			return nil, err
		}
		found = append(found, s)
	}
	return found, errors.Join(rows.Err(), rows.Close())
}

func (b *batch) deleteRow(ctx context.Context, s *storedHot) error {
	for _, text := range []string{`DELETE FROM indelible_runs WHERE id = $1`, `DELETE FROM indelible_records WHERE id = $1`} {
		if _, err := b.tx.ExecContext(ctx, text, s.id); err != nil {
			return err
		}
	}
	if s.spec.Valid {
		if _, err := b.tx.StmtContext(ctx, b.deleteSpec).ExecContext(ctx, s.spec); err != nil {
			return err
		}
	}
	// Of a row that is damaged labels stay, which lead nowhere.
	rest, err := pack.Unpack(s.record, s.known()...)
	if s.record == nil || err != nil {
		return nil
	}
	if s.spec.Valid {
		if rest, err = joinSpec(rest, []byte("null")); err != nil {
			return nil
		}
	}
	h, _ := heat(s.cluster, s.namespace, rest)
	return b.deleteLabels(ctx, s.id, s.created, h.labels)
}

func (b *batch) deleteLabels(ctx context.Context, id, created int64, labels []int64) error {
	if len(labels) == 0 {
		return nil
	}
	text := fmt.Sprintf( //nolint:gosec // of texts of this package
		`DELETE FROM indelible_labels WHERE label%s AND created = $2 AND run = $3`, b.dialect.any("$1", numbers))
	_, err := b.tx.ExecContext(ctx, text, b.dialect.list(labels), created, id)
	return err
}

// recountResult makes a Result's row again from what is left of it.
func (b *batch) recountResult(ctx context.Context, key resultKey) error {
	const left = ` FROM indelible_runs r JOIN indelible_scopes s ON s.id = $1 WHERE r.result = $2 AND r.namespace = s.namespace AND r.cluster = s.cluster`
	d := resultDelta{}
	var created, updated sql.NullInt64
	if err := b.tx.QueryRowContext(ctx, `SELECT count(*), min(r.created), max(r.committed)`+left, key.scope, key.name).Scan(&d.runs, &created, &updated); err != nil {
		return err
	}
	d.created, d.updated = created.Int64*1e6, updated.Int64
	err := b.tx.QueryRowContext(ctx, `SELECT r.id, r.committed`+left+` AND r.flags & $3 <> 0 ORDER BY r.committed DESC, r.uid LIMIT 1`, key.scope, key.name, flagRoot).Scan(&d.root, &d.rootAt)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	var object, objectCreated, objectUpdated int64
	err = b.tx.QueryRowContext(ctx, `SELECT id, created * 1000000 + micros, committed FROM indelible_objects WHERE scope = $1 AND result = $2 AND kind = $3`, key.scope, key.name, resultKind).
		Scan(&object, &objectCreated, &objectUpdated)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if object != 0 && (d.runs == 0 || objectCreated < d.created) {
		d.created = objectCreated
	}
	d.updated = max(d.updated, objectUpdated)
	if _, err := b.tx.ExecContext(ctx, `DELETE FROM indelible_results WHERE scope = $1 AND name = $2`, key.scope, key.name); err != nil || d.runs == 0 && object == 0 {
		return err
	}
	if err := b.insert(ctx, &resultsTable, []any{key.scope, key.name, d.created, d.updated, d.runs, d.root, d.rootAt, object}); err != nil {
		return err
	}
	return b.annotate(ctx, key)
}

// commitOf decodes the commit of a row that was read without its record.
func commitOf(s *stored) (*manifest.Commit, error) {
	row, err := s.row(false)
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return row.Commit, nil
}
