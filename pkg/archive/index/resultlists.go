package index

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// resultIDs finds as many ids as are wanted. Results with the same time are sorted by name, so
// those at both ends of the page are queried separately.
func (d *database) resultIDs(ctx context.Context, s *ResultScan) ([]int64, error) {
	var ids []int64
	var behind *int64
	if s.After != nil {
		found, err := d.resultKeys(ctx, s, &bound{tie: true, key: s.After.At, after: s.After}, s.Limit)
		if err != nil || len(found) >= s.Limit {
			return found.ids(), err
		}
		ids, behind = found.ids(), &s.After.At
	}
	left := s.Limit - len(ids)
	found, err := d.resultKeys(ctx, s, &bound{behind: behind}, left)
	if err != nil || len(found) < left {
		return append(ids, found.ids()...), err
	}
	last := found[len(found)-1].key
	found = slices.DeleteFunc(found, func(c candidate) bool { return c.key == last })
	tied, err := d.resultKeys(ctx, s, &bound{tie: true, key: last}, left-len(found))
	return append(append(ids, found.ids()...), tied.ids()...), err
}

// resultKeys queries all namespaces, and merges what they have.
func (d *database) resultKeys(ctx context.Context, s *ResultScan, b *bound, limit int) (candidates, error) {
	var all []namedCandidate
	for chunk := range slices.Chunk(s.Scopes, maxStreams) {
		found, err := d.resultKeysOf(ctx, s, chunk, b, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.SortStableFunc(all, func(a, b namedCandidate) int {
		n := cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.name, b.name), cmp.Compare(a.parent, b.parent))
		if s.Descending {
			return -n
		}
		return n
	})
	all = all[:min(limit, len(all))]
	found := make(candidates, len(all))
	for i := range all {
		found[i] = all[i].candidate
	}
	return found, nil
}

// namedCandidate has its names only if bound.tie is set.
type namedCandidate struct {
	candidate
	name, parent string
}

// resultOrders are the columns that Results are sorted by. The last two have no database index.
var resultOrders = map[ResultOrder]string{
	ResultCreated: "r.created", ResultUpdated: "r.updated",
	ResultStarted: "CASE WHEN r.object = 0 THEN coalesce(t.started, 0) ELSE coalesce(o.started, 0) END * 1000000",
	ResultEnded:   "CASE WHEN r.object = 0 THEN coalesce(t.completed, 0) ELSE coalesce(o.completed, 0) END * 1000000",
}

func (d *database) resultKeysOf(
	ctx context.Context, s *ResultScan, scopes []int64, b *bound, limit int,
) (all []namedCandidate, err error) {
	text, args := d.resultScan(s, scopes, b, limit)
	rows, err := d.reads.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c namedCandidate
		if err := rows.Scan(&c.id, &c.key, &c.name, &c.parent); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, rows.Err()
}

func (d *database) resultScan(s *ResultScan, scopes []int64, b *bound, limit int) (string, []any) {
	t := &statement{}
	n := d.streamArgs(t, scopes)
	key := resultOrders[s.Order]
	name := "'', ''"
	if b.tie {
		name = "r.name || '', s.namespace" // else SQLite would scan all names, which are sorted
	}
	t.add("SELECT r.id, %s, %s FROM indelible_results r", key, name)
	if b.tie {
		t.add(" JOIN indelible_scopes s ON s.id = r.scope")
	}
	if s.Order == ResultStarted || s.Order == ResultEnded {
		t.add(" LEFT JOIN indelible_runs t ON t.id = r.root LEFT JOIN indelible_objects o ON o.id = r.object")
	}
	t.add(" WHERE r.scope = {stream}")
	if s.Names != nil {
		t.add(" AND r.name%s", d.dialect.any(t.arg(d.dialect.list(s.Names)), words))
	}
	if s.From != 0 {
		t.add(" AND r.created >= %s", t.arg(s.From*1e6))
	}
	if s.To != 0 {
		t.add(" AND r.created < %s", t.arg(s.To*1e6+1e6))
	}
	direction, less := "", ">"
	if s.Descending {
		direction, less = " DESC", "<"
	}
	if b.behind != nil {
		t.add(" AND %s %s %s", key, less, t.arg(*b.behind))
	}
	if b.tie {
		t.add(" AND %s = %s", key, t.arg(b.key))
	}
	if b.after != nil {
		name, parent, _ := strings.Cut(b.after.UID, "/")
		at := t.arg(name)
		t.add(" AND (r.name %s %s OR r.name = %s AND s.namespace %s %s)", less, at, at, less, t.arg(parent))
	}
	order := "2" + direction
	if b.tie {
		order = "3" + direction
	}
	t.add(" ORDER BY %s LIMIT %s", order, t.arg(limit))
	return d.dialect.streams(t.text.String(), n), t.args
}
