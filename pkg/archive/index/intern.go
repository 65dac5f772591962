package index

import (
	"context"
	"database/sql"
	"maps"
	"sync"
)

// scope is a namespace of a cluster.
type scope struct{ cluster, namespace string }

// groupKey is a row of indelible_groups.
type groupKey struct {
	scope                int64
	kind, status, reason string
	tool                 bool
}

// interned has the numbers of texts that many rows share. They are never deleted, so a cache cannot
// become stale.
type interned struct {
	mu     sync.RWMutex
	scopes map[scope]int64
	groups map[groupKey]int64
	names  map[string]int64
}

// maxNames bounds the cache of names: users can create any number of Pipelines.
const maxNames = 100_000

func newInterned() *interned {
	return &interned{scopes: map[scope]int64{}, groups: map[groupKey]int64{}, names: map[string]int64{}}
}

// pending are numbers assigned in a transaction. They become valid with its commit.
type pending struct {
	of     *interned
	scopes map[scope]int64
	groups map[groupKey]int64
	names  map[string]int64
}

func (i *interned) begin() *pending {
	return &pending{of: i, scopes: map[scope]int64{}, groups: map[groupKey]int64{}, names: map[string]int64{}}
}

func (p *pending) commit() {
	i := p.of
	i.mu.Lock()
	defer i.mu.Unlock()
	maps.Copy(i.scopes, p.scopes)
	maps.Copy(i.groups, p.groups)
	if len(i.names)+len(p.names) > maxNames {
		clear(i.names)
	}
	maps.Copy(i.names, p.names)
}

// known looks up a number, among the committed ones and those of this transaction.
func known[K comparable](p *pending, committed, own map[K]int64, key K) (int64, bool) {
	p.of.mu.RLock()
	id, ok := committed[key]
	p.of.mu.RUnlock()
	if !ok {
		id, ok = own[key]
	}
	return id, ok
}

// number returns the number of a row, which it inserts if necessary.
func number[K comparable](
	ctx context.Context, tx *sql.Tx, p *pending, committed, own map[K]int64, key K, find, insert string, args ...any,
) (int64, error) {
	if id, ok := known(p, committed, own, key); ok {
		return id, nil
	}
	var id int64
	err := tx.QueryRowContext(ctx, find, args...).Scan(&id)
	if err == sql.ErrNoRows { //nolint:errorlint // Scan does not wrap it
		if _, err = tx.ExecContext(ctx, insert, args...); err == nil {
			err = tx.QueryRowContext(ctx, find, args...).Scan(&id)
		}
	}
	if err == nil {
		own[key] = id
	}
	return id, err
}

func (p *pending) scope(ctx context.Context, tx *sql.Tx, s scope) (int64, error) {
	return number(ctx, tx, p, p.of.scopes, p.scopes, s,
		`SELECT id FROM indelible_scopes WHERE cluster = $1 AND namespace = $2`,
		`INSERT INTO indelible_scopes (cluster, namespace) VALUES ($1, $2) ON CONFLICT DO NOTHING`, s.cluster,
		s.namespace)
}

func (p *pending) group(ctx context.Context, tx *sql.Tx, g group) (id, scopeID int64, err error) {
	scopeID, err = p.scope(ctx, tx, scope{g.cluster, g.namespace})
	if err != nil {
		return 0, 0, err
	}
	tool := 0
	if g.tool {
		tool = 1
	}
	key := groupKey{scopeID, g.kind, g.status, g.reason, g.tool}
	id, err = number(ctx, tx, p, p.of.groups, p.groups, key,
		`SELECT id FROM indelible_groups WHERE scope = $1 AND kind = $2 AND status = $3 AND reason = $4 AND tool = $5`,
		`INSERT INTO indelible_groups (scope, kind, status, reason, tool) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		scopeID, g.kind, g.status, g.reason, tool)
	return id, scopeID, err
}

// name returns null if there is no name.
func (p *pending) name(ctx context.Context, tx *sql.Tx, name sql.NullString) (id sql.NullInt64, err error) {
	if !name.Valid {
		return id, nil
	}
	id.Int64, err = number(ctx, tx, p, p.of.names, p.names, name.String,
		`SELECT id FROM indelible_names WHERE name = $1`,
		`INSERT INTO indelible_names (name) VALUES ($1) ON CONFLICT DO NOTHING`, name.String)
	id.Valid = err == nil
	return id, err
}
