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

// sqliteIDs: there is one writer at a time, and what it has not committed nobody sees.
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
	return scanNumbers(tx.QueryContext(ctx, `SELECT nextval(pg_get_serial_sequence($1, 'id')) FROM generate_series(1, $2)`, table, n))
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
	text, err := json.Marshal(values) // of numbers or strings
	if err != nil {
		panic(err)
	}
	return string(text)
}

func postgresList(values any) any { return values }

// nothing is a stream that has none: no number of a group or scope, and no label but by a chance that there is not.
const nothing = -1

// padded adds streams that have nothing, so that statements are of a few lengths, which are prepared once each.
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

// sqliteStreams has an argument for each stream, from $1 on; others come behind them.
func sqliteStreams(statement string, streams int) string {
	parts := make([]string, streams)
	for i := range parts {
		parts[i] = "SELECT * FROM (" + strings.ReplaceAll(statement, "{stream}", fmt.Sprint("$", i+1)) + ")"
	}
	return strings.Join(parts, " UNION ALL ")
}

// postgresStreams has all of them in $1.
func postgresStreams(statement string, _ int) string {
	return `SELECT s.* FROM unnest($1::bigint[]) AS stream(n) CROSS JOIN LATERAL (` + strings.ReplaceAll(statement, "{stream}", "stream.n") + `) s`
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
