package index

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
)

// resultKey is what a Result is found by.
type resultKey struct {
	scope int64
	name  string
}

// resultDelta is what a batch's rows add to a Result.
type resultDelta struct {
	created, updated, runs, root, rootAt int64
	annotated                            bool
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

// annotate sets a Result's annotations from those of its runs. A later commit's take precedence.
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
	_, err = b.tx.ExecContext(ctx, `UPDATE indelible_results SET annotations = $1 WHERE scope = $2 AND name = $3`, text,
		key.scope, key.name)
	return err
}

// recountResult computes a Result's row from its runs and its object.
func (b *batch) recountResult(ctx context.Context, key resultKey) error {
	const left = ` FROM indelible_runs r JOIN indelible_scopes s ON s.id = $1 WHERE r.result = $2 AND r.namespace = s.namespace AND r.cluster = s.cluster`
	d := resultDelta{}
	var created, updated sql.NullInt64
	if err := b.tx.QueryRowContext(ctx, `SELECT count(*), min(r.created), max(r.committed)`+left, key.scope,
		key.name).Scan(&d.runs, &created, &updated); err != nil {
		return err
	}
	d.created, d.updated = created.Int64*1e6, updated.Int64
	err := b.tx.QueryRowContext(ctx,
		`SELECT r.id, r.committed`+left+` AND r.flags & $3 <> 0 ORDER BY r.committed DESC, r.uid LIMIT 1`, key.scope,
		key.name, flagRoot).Scan(&d.root, &d.rootAt)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	var object, objectCreated, objectUpdated int64
	err = b.tx.QueryRowContext(ctx,
		`SELECT id, created * 1000000 + micros, committed FROM indelible_objects WHERE scope = $1 AND result = $2 AND kind = $3`,
		key.scope, key.name, resultKind).
		Scan(&object, &objectCreated, &objectUpdated)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if object != 0 && (d.runs == 0 || objectCreated < d.created) {
		d.created = objectCreated
	}
	d.updated = max(d.updated, objectUpdated)
	if _, err := b.tx.ExecContext(ctx, `DELETE FROM indelible_results WHERE scope = $1 AND name = $2`, key.scope,
		key.name); err != nil || d.runs == 0 && object == 0 {
		return err
	}
	if err := b.insert(ctx, &resultsTable, []any{key.scope, key.name, d.created, d.updated, d.runs, d.root, d.rootAt,
		object}); err != nil {
		return err
	}
	return b.annotate(ctx, key)
}
