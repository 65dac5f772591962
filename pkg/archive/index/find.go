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

// How many rows one statement reads. What they hold is in memory at once: records may have a megabyte each. Between statements nothing
// is open in the database, so that a caller may take its time, and delete what it was given.
const (
	page        = 512
	recordsPage = 32
)

// Find implements Index.
func (d *database) Find(ctx context.Context, q Query) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		size := page
		if q.Records {
			size = recordsPage
		}
		left := q.Limit
		for {
			if q.Limit = size; left > 0 {
				q.Limit = min(size, left)
			}
			found, err := d.find(ctx, q)
			for i := 0; err == nil && i < len(found); i++ {
				var row Row
				if row, err = found[i].row(q.Records); err == nil && !yield(row, nil) {
					return
				}
			}
			if err != nil {
				yield(Row{}, fmt.Errorf("index: list runs: %w", err))
				return
			}
			if len(found) < q.Limit || left == len(found) {
				return
			}
			left = max(left-len(found), 0)
			last := found[len(found)-1].id()
			q.After = &last
		}
	}
}

// find reads one page.
func (d *database) find(ctx context.Context, q Query) (found []stored, err error) {
	text, args := q.statement()
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

// statement is the query in SQL. What the caller gave is only ever in the arguments.
func (q Query) statement() (text string, args []any) {
	where := conditions{}
	where.equal("r.cluster", q.Cluster)
	where.equal("r.namespace", q.Namespace)
	where.equal("r.name", q.Name)
	where.equal("r.result", q.Result)
	where.equal("r.kind", q.Kind)
	if q.Parent != "" {
		where.add("(r.parent = '!' AND r.result = ", q.Parent)
		where.or("r.parent > '!' AND r.parent = ", q.Parent) // the first half is for the database's index
	}
	if q.Roots {
		where.always(`(r.parent = '' OR NOT EXISTS (SELECT 1 FROM indelible_runs p
			WHERE p.uid = CASE r.parent WHEN '!' THEN r.result ELSE r.parent END AND p.cluster = r.cluster
			AND p.namespace = r.namespace AND p.kind = 'PipelineRun' AND p.uid <> r.uid))`)
	}
	if !q.ArchivedBefore.IsZero() {
		where.add("r.committed < ", q.ArchivedBefore.UnixMicro())
	}
	if q.After != nil {
		created := q.After.Created.Unix()
		where.add("r.created <= ", created) // for the database's index; what follows is the condition
		where.add("(r.created < ", created)
		where.or("r.uid > ", q.After.UID)
	}
	text = selectRun
	from := " FROM indelible_runs r"
	if q.Records {
		text += ", d.data, d.spec, s.data"
		from += joinRecord
	}
	where.args = append(where.args, q.Limit)
	return fmt.Sprintf("%s%s%s ORDER BY r.created DESC, r.uid LIMIT $%d", text, from, &where.text, len(where.args)), where.args
}

// conditions are those of a WHERE.
type conditions struct {
	text strings.Builder
	args []any
}

func (c *conditions) equal(column, value string) {
	if value != "" {
		c.add(column+" = ", value)
	}
}

func (c *conditions) add(condition string, value any) {
	c.args = append(c.args, value)
	c.always(fmt.Sprintf("%s$%d", condition, len(c.args)))
}

// always adds a condition without an argument.
func (c *conditions) always(condition string) {
	word := " WHERE "
	if c.text.Len() > 0 {
		word = " AND "
	}
	c.text.WriteString(word + condition)
}

// or adds to the condition before, which has an open parenthesis.
func (c *conditions) or(condition string, value any) {
	c.args = append(c.args, value)
	fmt.Fprintf(&c.text, " OR %s$%d)", condition, len(c.args))
}

// A key has the uid between dots. A uid that another begins with sorts behind it then, if a hyphen follows.
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

// position is that of a commit's key; "" comes before all.
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
