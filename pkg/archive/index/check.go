package index

import (
	"context"
	"database/sql"
	"fmt"
)

// CheckCounts implements Index. The database does the counting; memory holds only the wrong counts,
// at most maxWrong of each kind.
func (d *database) CheckCounts(ctx context.Context, repair bool) (wrong int, err error) {
	for _, span := range spans {
		cells, err := d.wrongCells(ctx, span)
		if err != nil {
			return wrong, fmt.Errorf("index: recount rollups: %w", err)
		}
		if wrong += len(cells); !repair || len(cells) == 0 {
			continue
		}
		if err := d.writer.do(ctx, change{apply: func(ctx context.Context, b *batch) error {
			return b.recountCells(ctx, cells)
		}}); err != nil {
			return wrong, fmt.Errorf("index: repair rollups: %w", err)
		}
	}
	results, err := d.wrongResults(ctx)
	if err != nil {
		return wrong, fmt.Errorf("index: recount Results: %w", err)
	}
	if wrong += len(results); !repair || len(results) == 0 {
		return wrong, nil
	}
	err = d.writer.do(ctx, change{apply: func(ctx context.Context, b *batch) error {
		for _, key := range results {
			if err := b.recountResult(ctx, key); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		return wrong, fmt.Errorf("index: repair Results: %w", err)
	}
	return wrong, nil
}

// maxWrong bounds what one check reports of each kind. An index with more errors is better rebuilt.
const maxWrong = 10_000

func (d *database) wrongCells(ctx context.Context, span int64) (map[cell]bool, error) {
	const rollups = `SELECT grp, at, runs, logs, events, timed, days, seconds, shortest, longest, started FROM indelible_rollups WHERE span = $1`
	counted := `SELECT * FROM (` + countCells + ` FROM indelible_runs GROUP BY 1, 2) r UNION ALL SELECT * FROM (` +
		countCells + ` FROM indelible_objects WHERE grp <> 0 GROUP BY 1, 2) o`
	rows, err := d.read.QueryContext(ctx, `SELECT grp, at FROM (SELECT * FROM (`+rollups+`) a EXCEPT SELECT * FROM (`+counted+`) b) c
		UNION SELECT grp, at FROM (SELECT * FROM (`+counted+`) d EXCEPT SELECT * FROM (`+rollups+`) e) f LIMIT $2`, span, maxWrong)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	cells := map[cell]bool{}
	for rows.Next() {
		c := cell{span: span}
		if err := rows.Scan(&c.group, &c.at); err != nil {
			return nil, err
		}
		cells[c] = true
	}
	return cells, rows.Err()
}

func (d *database) wrongResults(ctx context.Context) (keys []resultKey, err error) {
	const counted = `SELECT s.id, r.result, count(*) FROM indelible_runs r JOIN indelible_scopes s ON s.namespace = r.namespace AND s.cluster = r.cluster GROUP BY 1, 2`
	const stored = `SELECT scope, name, runs FROM indelible_results WHERE runs > 0`
	rows, err := d.read.QueryContext(ctx, `SELECT scope, name FROM (SELECT * FROM (`+stored+`) a EXCEPT SELECT * FROM (`+counted+`) b) c
		UNION SELECT id, result FROM (SELECT * FROM (`+counted+`) d EXCEPT SELECT * FROM (`+stored+`) e) f LIMIT $1`, maxWrong)
	if err != nil {
		return nil, err
	}
	return scanKeys(rows)
}

func scanKeys(rows *sql.Rows) (keys []resultKey, err error) {
	defer rows.Close()
	for rows.Next() {
		var key resultKey
		if err := rows.Scan(&key.scope, &key.name); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, rows.Err()
}
