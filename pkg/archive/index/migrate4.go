package index

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
)

// addQueries updates version 3 to 4: it fills the new columns and tables from the records, of which
// one page is in memory. It creates the indexes on the new columns once these are filled.
func addQueries(ctx context.Context, d dialect, tx *sql.Tx) error {
	var later []string
	for _, statement := range slices.Concat(d.to4, version4) {
		if slices.Contains(runsIndexes, statement) {
			later = append(later, statement)
			continue
		}
		if _, err := tx.ExecContext(ctx, d.types.Replace(statement)); err != nil {
			return fmt.Errorf("add tables: %w", err)
		}
	}
	b := &batch{
		database: &database{dialect: d, interned: newInterned(), inserter: &inserter{numbered: d.name == postgres}},
		tx:       tx,
		results:  map[resultKey]*resultDelta{}, rollups: map[cell]*rollup{},
	}
	b.intern = b.interned.begin()
	for last := int64(0); ; {
		rows, err := recordsAfter(ctx, tx, last)
		if err != nil {
			return fmt.Errorf("read what is in records: %w", err)
		}
		if len(rows) == 0 {
			break
		}
		if err := b.warmUp(ctx, rows); err != nil {
			return err
		}
		last = rows[len(rows)-1].id
	}
	for _, statement := range later {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("index what was added: %w", err)
		}
	}
	_, err := tx.ExecContext(ctx, `UPDATE indelible_schema SET version = 4`)
	return err
}

// warmUp fills the new columns of rows as Put does. A damaged row becomes odd, and stays damaged.
func (b *batch) warmUp(ctx context.Context, rows []*storedHot) error {
	for _, s := range rows {
		row, err := s.row(true)
		if err != nil && !errors.Is(err, ErrDamaged) {
			return err
		}
		packed := &packedRow{cluster: s.cluster, uid: s.uid, result: s.result, committed: s.committed}
		if err == nil {
			h, head := heat(s.cluster, row.Commit.Run.Namespace, row.Record)
			h.ofRun(row.Commit, &head)
			h.clean()
			packed.hot = h
		} else {
			packed.hot = hot{namespace: s.namespace, kind: s.kind, odd: true, created: s.created, ended: s.completed}
		}
		columns, err := b.hot(ctx, s.id, packed)
		if err != nil {
			return err
		}
		if _, err := b.tx.ExecContext(ctx,
			`UPDATE indelible_runs SET grp = $2, started = $3, pipeline = $4, repository = $5, flags = $6 WHERE id = $1`,
			columns...); err != nil {
			return err
		}
	}
	slices.SortFunc(rows, func(a, b *storedHot) int { return cmp.Compare(a.id, b.id) })
	return b.flush(ctx)
}

// recordsAfter reads a page of rows with their records.
func recordsAfter(ctx context.Context, tx *sql.Tx, after int64) (found []*storedHot, err error) {
	rows, err := tx.QueryContext(ctx, selectRun+`, d.data, d.spec, s.data, r.id, r.committed, r.api_version || '.' || r.kind
		FROM indelible_runs r`+joinRecord+` WHERE r.id > $1 ORDER BY r.id LIMIT $2`, after, migratePage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		s := &storedHot{}
		if err := rows.Scan(append(s.columns(true), &s.id, &s.committed, &s.kind)...); err != nil {
			return nil, err
		}
		found = append(found, s)
	}
	return found, rows.Err()
}

// migratePage is how many records a migration holds in memory: few, as each may have a megabyte,
// but enough for multi-row statements.
const migratePage = 128
