package index

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
)

// kind is the type of the values in a list.
type kind string

const (
	numbers kind = "bigint"
	words   kind = "text"
)

// sqliteIDs counts up from the largest id: SQLite has one writer at a time.
func sqliteIDs(ctx context.Context, tx *sql.Tx, table string, n int) ([]int64, error) {
	var last int64
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM `+table).Scan(&last); err != nil {
		return nil, err
	}
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = last + int64(i) + 1
	}
	return ids, nil
}

func postgresIDs(ctx context.Context, tx *sql.Tx, table string, n int) (ids []int64, err error) {
	return scanNumbers(tx.QueryContext(ctx,
		`SELECT nextval(pg_get_serial_sequence($1, 'id')) FROM generate_series(1, $2)`, table, n))
}

func scanNumbers(rows *sql.Rows, err error) ([]int64, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, rows.Err()
}

func sqliteAny(argument string, _ kind) string {
	return fmt.Sprintf(" IN (SELECT value FROM json_each(%s))", argument)
}

func postgresAny(argument string, of kind) string {
	return fmt.Sprintf(" = ANY(%s::%s[])", argument, of)
}

func sqliteList(values any) any {
	text, err := json.Marshal(values) // numbers or strings
	if err != nil {
		panic(err)
	}
	return string(text)
}

func postgresList(values any) any { return values }

// nothing is a stream without rows: no group or scope has this number, and a label only by chance.
const nothing = -1

// padded adds empty streams, so that statements have few different lengths and are prepared once
// each.
func padded(streams []int64) []int64 {
	n := (len(streams) + 3) / 4 * 4
	if len(streams) < 3 {
		n = len(streams)
	}
	all := append(make([]int64, 0, n), streams...)
	for len(all) < n {
		all = append(all, nothing)
	}
	return all
}

// sqliteStreams takes one argument per stream, from $1 on. Other arguments follow.
func sqliteStreams(statement string, streams int) string {
	parts := make([]string, streams)
	for i := range parts {
		parts[i] = "SELECT * FROM (" + strings.ReplaceAll(statement, "{stream}", fmt.Sprint("$", i+1)) + ")"
	}
	return strings.Join(parts, " UNION ALL ")
}

// postgresStreams takes all streams as $1.
func postgresStreams(statement string, _ int) string {
	return `SELECT s.* FROM unnest($1::bigint[]) AS stream(n) CROSS JOIN LATERAL (` +
		strings.ReplaceAll(statement, "{stream}", "stream.n") + `) s`
}

func scanTexts(rows *sql.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}
