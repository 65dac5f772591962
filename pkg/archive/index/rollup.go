package index

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
)

// spans are the lengths of rollups, in seconds. Weeks, months and years consist of days.
var spans = []int64{hour, day}

const hour, day = 60 * 60, 24 * 60 * 60

// cell is the key of a rollup.
type cell struct{ group, span, at int64 }

// truncate returns the beginning of the span that contains a time.
func truncate(at, span int64) int64 {
	rest := at % span
	if rest < 0 {
		rest += span
	}
	return at - rest
}

// rollup is what summaries need to know of rows.
type rollup struct {
	runs, logs, events int64
	// timed counts rows with a duration. The sum of durations is in days and seconds, as Postgres
	// has intervals.
	timed, days, seconds       int64
	shortest, longest, started sql.NullInt64
}

func (r *rollup) add(h *hot) {
	r.runs++
	if h.flags&flagLog != 0 {
		r.logs++
	}
	if h.flags&flagEvents != 0 {
		r.events++
	}
	most(&r.started, h.started)
	if !h.started.Valid || !h.ended.Valid {
		return
	}
	took := h.ended.Int64 - h.started.Int64
	r.timed++
	r.days += took / day
	r.seconds += took % day
	least(&r.shortest, sql.NullInt64{Int64: took, Valid: true})
	most(&r.longest, sql.NullInt64{Int64: took, Valid: true})
}

func most(a *sql.NullInt64, b sql.NullInt64) {
	if b.Valid && (!a.Valid || b.Int64 > a.Int64) {
		*a = b
	}
}

func least(a *sql.NullInt64, b sql.NullInt64) {
	if b.Valid && (!a.Valid || b.Int64 < a.Int64) {
		*a = b
	}
}

func (r *rollup) values(c cell) []any {
	return []any{c.group, c.span, c.at, r.runs, r.logs, r.events, r.timed, r.days, r.seconds, r.shortest, r.longest,
		r.started}
}

func sortedCells[V any](cells map[cell]V) []cell {
	return slices.SortedFunc(maps.Keys(cells), func(a, b cell) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.span, b.span), cmp.Compare(a.at, b.at))
	})
}

func (b *batch) flushRollups(ctx context.Context) error {
	var values []any
	for _, c := range sortedCells(b.rollups) {
		values = append(values, b.rollups[c].values(c)...)
	}
	clear(b.rollups)
	return b.insert(ctx, &rollupsTable, values)
}

// countCells counts rows of runs or objects; $1 is the span. The index by group covers it.
const countCells = `SELECT grp, created - ((created % $1) + $1) % $1 AS at, count(*) AS runs,
	sum(flags & 1) AS logs, sum((flags & 2) / 2) AS events, count(completed - started) AS timed,
	coalesce(sum((completed - started) / 86400), 0) AS days, coalesce(sum((completed - started) % 86400), 0) AS seconds,
	min(completed - started) AS shortest, max(completed - started) AS longest, max(started) AS started`

// recountCells computes rollups anew: minimum and maximum cannot be corrected after a deletion.
func (b *batch) recountCells(ctx context.Context, cells map[cell]bool) error {
	for _, c := range sortedCells(cells) {
		if _, err := b.tx.ExecContext(ctx, `DELETE FROM indelible_rollups WHERE grp = $1 AND span = $2 AND at = $3`,
			c.group, c.span, c.at); err != nil {
			return err
		}
		for _, table := range []string{"indelible_runs", "indelible_objects"} { // a group has rows of one of them
			text := fmt.Sprintf( //nolint:gosec // made of constants
				`INSERT INTO indelible_rollups (span, grp, at, runs, logs, events, timed, days, seconds, shortest, longest, started)
				SELECT $1, c.* FROM (%s FROM %s WHERE grp = $2 AND created >= $3 AND created < $4 GROUP BY 1, 2) c`, countCells, table)
			if _, err := b.tx.ExecContext(ctx, text, c.span, c.group, c.at, c.at+c.span); err != nil {
				return err
			}
		}
	}
	return nil
}
