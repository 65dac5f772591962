package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
)

// How many rows one statement reads, all of which are in memory at once; a record may have a
// megabyte. No statement is open between pages, so the caller may take its time and delete what it
// was given.
const (
	page        = 512
	recordsPage = 32
)

// Find implements Index.
func (d *database) Find(ctx context.Context, q Query) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		if err := d.findPages(ctx, &q, func(row Row) bool { return yield(row, nil) }); err != nil {
			yield(Row{}, fmt.Errorf("index: list runs: %w", err))
		}
	}
}

// findPages reads page by page until there are no more rows or yield returns false.
func (d *database) findPages(ctx context.Context, q *Query, yield func(Row) bool) error {
	size := page
	if q.Records {
		size = recordsPage
	}
	after, left := q.After, q.Limit // left is 0 if there is no limit
	for {
		limit := size
		if left > 0 {
			limit = min(size, left)
		}
		found, err := d.findPage(ctx, q, after, limit)
		if err != nil {
			return err
		}
		for i := range found {
			row, err := found[i].row(q.Records)
			if err != nil {
				return err
			}
			if !yield(row) {
				return nil
			}
		}
		if len(found) < limit || left == len(found) {
			return nil
		}
		left = max(left-len(found), 0)
		last := found[len(found)-1].id()
		after = &last
	}
}

// findPage reads the rows behind after, which may be nil.
func (d *database) findPage(ctx context.Context, q *Query, after *layout.Run, limit int) (found []stored, err error) {
	text, args := q.statement(after, limit)
	rows, err := d.read.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s stored
		if err := rows.Scan(s.columns(q.Records)...); err != nil {
			return nil, err
		}
		found = append(found, s)
	}
	return found, rows.Err()
}

// statement returns the query in SQL. The caller's values appear only in the arguments.
func (q *Query) statement(after *layout.Run, limit int) (text string, args []any) {
	where := q.where()
	if after != nil {
		created := where.arg(after.Created.Unix())
		where.add("r.created <= " + created) // lets the database use its index; the next is the condition
		where.add(fmt.Sprintf("(r.created < %s OR r.uid > %s)", created, where.arg(after.UID)))
	}
	text = selectRun
	from := " FROM indelible_runs r"
	if q.Records {
		text += ", d.data, d.spec, s.data"
		from += joinRecord
	}
	text += from + where.text() + " ORDER BY r.created DESC, r.uid LIMIT " + where.arg(limit)
	return text, where.args
}

// where returns the query's conditions, except the place in the list.
func (q *Query) where() *conditions {
	where := &conditions{}
	where.equal("r.cluster", q.Cluster)
	where.equal("r.namespace", q.Namespace)
	where.equal("r.name", q.Name)
	where.equal("r.result", q.Result)
	where.equal("r.kind", q.Kind)
	if q.Parent != "" {
		parent := where.arg(q.Parent)
		// parent > '!' lets the database use its index.
		where.add(fmt.Sprintf("(r.parent = '!' AND r.result = %s OR r.parent > '!' AND r.parent = %s)", parent, parent))
	}
	if q.Roots {
		where.add(`(r.parent = '' OR NOT EXISTS (SELECT 1 FROM indelible_runs p
			WHERE p.uid = CASE r.parent WHEN '!' THEN r.result ELSE r.parent END AND p.cluster = r.cluster
			AND p.namespace = r.namespace AND p.kind = 'PipelineRun' AND p.uid <> r.uid))`)
	}
	if !q.ArchivedBefore.IsZero() {
		where.add("r.committed < " + where.arg(q.ArchivedBefore.UnixMicro()))
	}
	return where
}

// conditions are those of a WHERE, all of which must hold.
type conditions struct {
	all  []string
	args []any
}

// arg adds an argument and returns its placeholder.
func (c *conditions) arg(value any) string {
	c.args = append(c.args, value)
	return fmt.Sprint("$", len(c.args))
}

func (c *conditions) add(condition string) { c.all = append(c.all, condition) }

// equal adds a condition unless the value is empty.
func (c *conditions) equal(column, value string) {
	if value != "" {
		c.add(column + " = " + c.arg(value))
	}
}

func (c *conditions) text() string {
	if len(c.all) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.all, " AND ")
}

// The UID in a key ends with a dot. So a UID that begins with another one and a hyphen sorts before
// it.
const keysPage = `SELECT created, uid FROM indelible_runs WHERE cluster = $1 AND created >= $2 AND (created > $2 OR uid || '.' > $3)
	ORDER BY created, uid || '.' LIMIT 4096`

// Keys implements Index.
func (d *database) Keys(ctx context.Context, cluster, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		from, err := position(cluster, after)
		for err == nil {
			var ids []layout.Run
			if ids, err = d.ids(ctx, cluster, from); err != nil || len(ids) == 0 {
				break
			}
			for _, id := range ids {
				var key string
				if key, err = layout.Cluster(cluster).Commit(id); err != nil {
					break
				}
				if !yield(key, nil) {
					return
				}
			}
			from = ids[len(ids)-1]
		}
		if err != nil {
			yield("", fmt.Errorf("index: list keys: %w", err))
		}
	}
}

// position returns the place of a commit's key; "" is before all.
func position(cluster, key string) (layout.Run, error) {
	if key == "" {
		return layout.Run{Created: time.Unix(0, 0)}, nil
	}
	of, id, err := layout.ParseCommit(key)
	if err == nil && string(of) != cluster {
		err = fmt.Errorf("key %s is not one of cluster %s", key, cluster)
	}
	return id, err
}

func (d *database) ids(ctx context.Context, cluster string, after layout.Run) (ids []layout.Run, err error) {
	rows, err := d.read.QueryContext(ctx, keysPage, cluster, after.Created.Unix(), after.UID+".")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	return scanIDs(rows)
}

func scanIDs(rows *sql.Rows) (ids []layout.Run, err error) {
	for rows.Next() {
		var s stored
		if err := rows.Scan(&s.created, &s.uid); err != nil {
			return nil, err
		}
		ids = append(ids, s.id())
	}
	return ids, rows.Err()
}
