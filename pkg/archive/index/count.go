package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// CountBy is what rows are counted by, within their groups.
type CountBy int

// Values of CountBy. ByCreated, ByStarted and ByCompleted count by spans of that time.
const (
	ByNothing CountBy = iota
	ByCreated
	ByStarted
	ByCompleted
	ByPipeline
	ByRepository
)

// CountScan says what to count.
type CountScan struct {
	// Tool counts records of tools instead of runs. Groups are the groups to count.
	Tool   bool
	Groups []int64
	By     CountBy
	// Span is in seconds. Rollups exist for hours and days.
	Span int64
	// Rollups counts from rollups, which know no other time than the span of the creation.
	Rollups bool
	// Created, Started and Completed bound these times, in seconds since 1970, both ends included.
	// Rows without such a time are left out.
	Created, Started, Completed *[2]int64
}

// Count is what was counted of a group.
type Count struct {
	Group int64
	// At is the beginning of the span, Name the pipeline or repository. Both are null if the rows
	// have none or CountBy does not ask for it.
	At   sql.NullInt64
	Name sql.NullString
	// Runs counts rows, Logs and Events their records of logs and events.
	Runs, Logs, Events int64
	// Timed counts rows with a duration. The sum of the durations is Days and Seconds.
	Timed, Days, Seconds           int64
	Shortest, Longest, LastStarted sql.NullInt64
}

// Counts implements Reader.
func (d *database) Counts(ctx context.Context, s CountScan) ([]Count, error) {
	counts, err := d.counts(ctx, &s)
	if err != nil {
		return nil, fmt.Errorf("index: count: %w", err)
	}
	return counts, nil
}

func (d *database) counts(ctx context.Context, s *CountScan) (counts []Count, err error) {
	t := &statement{}
	if s.Rollups {
		s.rollups(d, t)
	} else {
		s.rows(d, t)
	}
	rows, err := d.reads.query(ctx, t.text.String(), t.args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var c Count
		if err := rows.Scan(&c.Group, &c.At, &c.Name, &c.Runs, &c.Logs, &c.Events, &c.Timed, &c.Days, &c.Seconds,
			&c.Shortest, &c.Longest, &c.LastStarted); err != nil {
			return nil, err
		}
		counts = append(counts, c)
	}
	return counts, rows.Err()
}

func (s *CountScan) rollups(d *database, t *statement) {
	at := "CAST(NULL AS BIGINT)"
	if s.By == ByCreated {
		at = "at"
	}
	t.add(`SELECT grp, %s, NULL, CAST(sum(runs) AS BIGINT), CAST(sum(logs) AS BIGINT), CAST(sum(events) AS BIGINT), CAST(sum(timed) AS BIGINT), CAST(sum(days) AS BIGINT), CAST(sum(seconds) AS BIGINT),
		min(shortest), max(longest), max(started)
		FROM indelible_rollups WHERE grp%s AND span = %s`, at, d.dialect.any(t.arg(d.dialect.list(s.Groups)), numbers), t.arg(s.Span))
	t.between("at", s.Created)
	t.add(" GROUP BY 1, 2")
}

func (t *statement) between(column string, ends *[2]int64) {
	if ends != nil {
		t.add(" AND %s BETWEEN %s AND %s", column, t.arg(ends[0]), t.arg(ends[1]))
	}
}

func (s *CountScan) rows(d *database, t *statement) {
	at, name, table := "CAST(NULL AS BIGINT)", "CAST(NULL AS BIGINT)", "indelible_runs"
	if s.Tool {
		table = "indelible_objects"
	}
	if column := map[CountBy]string{ByCreated: "created", ByStarted: "started",
		ByCompleted: "completed"}[s.By]; column != "" {
		span := t.arg(s.Span)
		at = fmt.Sprintf("%s - ((%s %% %s) + %s) %% %s", column, column, span, span, span)
	}
	switch s.By {
	case ByPipeline:
		name = "pipeline"
	case ByRepository:
		name = "repository"
	}
	t.add(`SELECT c.grp, c.at, n.name, c.runs, c.logs, c.events, c.timed, c.days, c.seconds, c.shortest, c.longest, c.started FROM (
		SELECT grp, %s AS at, %s AS named, count(*) AS runs, CAST(sum(flags & 1) AS BIGINT) AS logs, CAST(sum((flags & 2) / 2) AS BIGINT) AS events, count(completed - started) AS timed,
		CAST(coalesce(sum((completed - started) / 86400), 0) AS BIGINT) AS days, CAST(coalesce(sum((completed - started) %% 86400), 0) AS BIGINT) AS seconds,
		min(completed - started) AS shortest, max(completed - started) AS longest, max(started) AS started
		FROM %s WHERE grp%s`, at, name, table, d.dialect.any(t.arg(d.dialect.list(s.Groups)), numbers))
	t.between("created", s.Created)
	t.between("started", s.Started)
	t.between("completed", s.Completed)
	t.add(" GROUP BY 1, 2, 3) c LEFT JOIN indelible_names n ON n.id = c.named")
}
