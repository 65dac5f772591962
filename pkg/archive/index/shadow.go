package index

import (
	"context"
	"fmt"
	"slices"

	"github.com/indelible-ci/indelible/pkg/archive/index/pack"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// isShadowed says whether an archived run has a record of this name.
func (b *batch) isShadowed(ctx context.Context, p *packedObject) (bool, error) {
	if p.Kind != object.Record {
		return false, nil
	}
	uids, err := scanTexts(b.tx.QueryContext(ctx,
		`SELECT uid FROM indelible_runs WHERE result = $1 AND namespace = $2 AND cluster = $3`, p.Result, p.Parent,
		p.cluster))
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(uids, func(uid string) bool {
		return slices.Contains(recordsOf(p.Result, uid), p.ID)
	}), nil
}

// recordsOf returns the names of a run's records.
func recordsOf(result, uid string) []string {
	return []string{uid, run.LogID(result, uid), run.EventListID(result, uid)}
}

// shadow removes objects from lists that have the name of a record of these runs.
func (b *batch) shadow(ctx context.Context, rows []*packedRow) error {
	var any bool
	if err := b.tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM indelible_objects)`).Scan(&any); err != nil ||
		!any {
		return err
	}
	var names []string
	owners := map[string][]*packedRow{} // the same run may be in several clusters
	for _, row := range rows {
		for _, name := range recordsOf(row.result, row.uid) {
			names, owners[name] = append(names, name), append(owners[name], row)
		}
	}
	found, err := b.objects(ctx, `name`+b.dialect.any("$1", words)+` AND kind = $2 AND grp <> 0`, b.dialect.list(names),
		recordKind)
	if err != nil {
		return err
	}
	for _, o := range found {
		for _, row := range owners[o.name] {
			scopeID, err := b.intern.scope(ctx, b.tx, scope{row.cluster, row.hot.namespace})
			if err != nil {
				return err
			}
			if scopeID != o.scope || row.result != o.result {
				continue
			}
			if err := b.hide(ctx, row, o); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

func (b *batch) hide(ctx context.Context, row *packedRow, o *storedObject) error {
	if _, err := b.tx.ExecContext(ctx, `UPDATE indelible_objects SET grp = 0, flags = $1 WHERE id = $2`,
		flagShadowed, o.id); err != nil {
		return err
	}
	return b.unlist(ctx, row.cluster, row.hot.namespace, o)
}

// unshadow lists objects again that were shadowed by runs that are deleted now.
func (b *batch) unshadow(ctx context.Context, runs []*storedHot) error {
	var any bool
	if err := b.tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM indelible_objects)`).Scan(&any); err != nil ||
		!any {
		return err
	}
	for _, r := range runs {
		scopeID, err := b.intern.scope(ctx, b.tx, scope{r.cluster, r.namespace})
		if err != nil {
			return err
		}
		found, err := b.objects(ctx, `scope = $1 AND result = $2 AND name`+b.dialect.any("$3",
			words)+` AND kind = $4 AND grp = 0`,
			scopeID, r.result, b.dialect.list(recordsOf(r.result, r.uid)), recordKind)
		if err != nil {
			return err
		}
		for _, o := range found {
			if err := b.relist(ctx, r, o); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *batch) relist(ctx context.Context, r *storedHot, o *storedObject) error {
	data, err := pack.Unpack(o.data)
	if err != nil {
		return fmt.Errorf("object %s: %w: %w", o.name, ErrDamaged, err)
	}
	h := heatObject(r.cluster, r.namespace, o.objectType, data)
	h.created = o.created
	h.clean()
	groupID, _, err := b.intern.group(ctx, b.tx, h.group(r.cluster))
	if err != nil {
		return err
	}
	if _, err := b.tx.ExecContext(ctx, `UPDATE indelible_objects SET grp = $1, flags = 0 WHERE id = $2`, groupID,
		o.id); err != nil {
		return err
	}
	b.note(-o.id, groupID, &h)
	return b.flush(ctx)
}
