package index

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// Group is what entries have in common that they are listed and counted by.
type Group struct {
	ID, Scope                int64
	Cluster, Namespace, Type string
	// Status and Reason are those of the first condition, nil if it has none. They mean nothing if
	// Odd.
	Status, Reason *string
	// Odd: the entries' columns are not reliable, so their records must be read.
	Odd bool
	// Tool: the entries are records that tools wrote, not runs.
	Tool bool
}

// groupCache has the groups of all clusters, and by what count and last id it was read.
type groupCache struct {
	mu          sync.Mutex
	count, last int64
	groups      map[string][]Group
}

// Groups implements Reader. Groups are never deleted, so an unchanged count means unchanged groups.
func (d *database) Groups(ctx context.Context, cluster string) ([]Group, error) {
	var count, last int64
	if err := d.read.QueryRowContext(ctx, `SELECT count(*), coalesce(max(id), 0) FROM indelible_groups`).Scan(&count,
		&last); err != nil {
		return nil, fmt.Errorf("index: count groups: %w", err)
	}
	c := &d.groupCache
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count != count || c.last != last {
		groups, err := d.readGroups(ctx)
		if err != nil {
			return nil, fmt.Errorf("index: read groups: %w", err)
		}
		c.count, c.last, c.groups = count, last, groups
	}
	return c.groups[cluster], nil
}

func (d *database) readGroups(ctx context.Context) (map[string][]Group, error) {
	rows, err := d.read.QueryContext(ctx, `SELECT g.id, g.scope, s.cluster, s.namespace, g.kind, g.status, g.reason, g.tool
		FROM indelible_groups g JOIN indelible_scopes s ON s.id = g.scope ORDER BY g.id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	groups := map[string][]Group{}
	for rows.Next() {
		var g Group
		var status, reason string
		var tool int64
		if err := rows.Scan(&g.ID, &g.Scope, &g.Cluster, &g.Namespace, &g.Type, &status, &reason, &tool); err != nil {
			return nil, err
		}
		g.Tool, g.Odd = tool != 0, status == odd
		g.Status, g.Reason = uncolumn(status), uncolumn(reason)
		groups[g.Cluster] = append(groups[g.Cluster], g)
	}
	return groups, rows.Err()
}

func uncolumn(text string) *string {
	if rest, ok := strings.CutPrefix(text, "="); ok {
		return &rest
	}
	return nil
}
