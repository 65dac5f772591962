package index

import (
	"context"
	"database/sql"
	"fmt"
)

// addParents updates version 2 to 3: it adds each run's parent, from the record.
func addParents(ctx context.Context, d dialect, tx *sql.Tx) error {
	for _, statement := range []string{`ALTER TABLE indelible_runs ADD COLUMN parent {text} NOT NULL DEFAULT ''`,
		indexParents, tableComplete} {
		if _, err := tx.ExecContext(ctx, d.types.Replace(statement)); err != nil {
			return err
		}
	}
	for last := int64(0); ; {
		ids, parents, err := parentsAfter(ctx, tx, last)
		if err != nil {
			return fmt.Errorf("find the runs' owners: %w", err)
		}
		if len(ids) == 0 {
			_, err := tx.ExecContext(ctx, `UPDATE indelible_schema SET version = $1`, 3)
			return err
		}
		for i, id := range ids {
			if parents[i] == "" {
				continue
			}
			if _, err := tx.ExecContext(ctx, `UPDATE indelible_runs SET parent = $1 WHERE id = $2`, parents[i],
				id); err != nil {
				return err
			}
		}
		last = ids[len(ids)-1]
	}
}

// parentsAfter reads a page of records. A damaged row stays as it is: reading it will report it.
func parentsAfter(ctx context.Context, tx *sql.Tx, after int64) (ids []int64, parents []string, err error) {
	rows, err := tx.QueryContext(ctx,
		selectRun+`, d.data, d.spec, s.data, r.id FROM indelible_runs r`+joinRecord+` WHERE r.id > $1 ORDER BY r.id LIMIT $2`,
		after, recordsPage)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s stored
		var id int64
		if err := rows.Scan(append(s.columns(true), &id)...); err != nil {
			return nil, nil, err
		}
		parent := ""
		if record, err := s.unpackRecord(); err == nil {
			parent, _ = ParentOf(record)
		}
		ids, parents = append(ids, id), append(parents, parentColumn(parent, s.result))
	}
	return ids, parents, rows.Err()
}
