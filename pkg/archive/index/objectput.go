package index

import (
	"context"

	"github.com/indelible-ci/indelible/pkg/archive/index/pack"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/object"
)

// putObject does nothing if a later generation is stored.
func (b *batch) putObject(ctx context.Context, p *packedObject) error {
	if p.Deleted {
		return b.deleteObject(ctx, p.cluster, p.Object)
	}
	scopeID, err := b.intern.scope(ctx, b.tx, scope{p.cluster, p.Parent})
	if err != nil {
		return err
	}
	found, err := b.objects(ctx, `scope = $1 AND result = $2 AND kind = $3 AND name = $4`, scopeID, p.Result,
		objectKinds[p.Kind], p.ID)
	if err != nil {
		return err
	}
	for _, o := range found {
		if o.generation > p.Generation {
			return nil
		}
		if err := b.removeObject(ctx, p.cluster, p.Parent, o); err != nil {
			return err
		}
	}
	ids, err := b.dialect.ids(ctx, b.tx, objectsTable.name, 1)
	if err != nil {
		return err
	}
	return b.insertObject(ctx, ids[0], scopeID, p)
}

func (b *batch) insertObject(ctx context.Context, id, scopeID int64, p *packedObject) error {
	h := &p.hot
	shadowed, err := b.isShadowed(ctx, p)
	if err != nil {
		return err
	}
	groupID := int64(unlisted)
	switch {
	case shadowed:
		h.flags |= flagShadowed
	case p.Kind == object.Record:
		if groupID, _, err = b.intern.group(ctx, b.tx, h.group(p.cluster)); err != nil {
			return err
		}
	case p.Kind == object.Result:
		// Readers learn of namespaces from groups, and this object may be all that the namespace
		// has.
		if _, _, err = b.intern.group(ctx, b.tx, group{cluster: p.cluster, namespace: p.Parent,
			tool: true}); err != nil {
			return err
		}
	}
	pipeline, err := b.intern.name(ctx, b.tx, h.pipeline)
	if err != nil {
		return err
	}
	repository, err := b.intern.name(ctx, b.tx, h.repo)
	if err != nil {
		return err
	}
	at := p.Created.UnixMicro()
	err = b.insert(ctx, &objectsTable, []any{
		id, scopeID, objectKinds[p.Kind], p.Result, p.ID, p.UID, p.Generation, p.Key, h.created, at - h.created*1e6,
		p.Updated.UnixMicro(),
		groupID, h.started, h.ended, pipeline, repository, h.flags, clean(p.Type), p.data,
	})
	switch {
	case err != nil:
		return err
	case p.Kind == object.Result:
		return b.recountResult(ctx, resultKey{scopeID, p.Result})
	case groupID != unlisted:
		b.note(-id, groupID, h)
		return b.flush(ctx)
	}
	return nil
}

// removeObject removes an object with its labels and counts.
func (b *batch) removeObject(ctx context.Context, cluster, parent string, o *storedObject) error {
	if _, err := b.tx.ExecContext(ctx, `DELETE FROM indelible_objects WHERE id = $1`, o.id); err != nil {
		return err
	}
	if o.kind == resultKind {
		return b.recountResult(ctx, resultKey{o.scope, o.result})
	}
	if o.group == unlisted {
		return nil
	}
	return b.unlist(ctx, cluster, parent, o)
}

// unlist removes an object from labels and rollups.
func (b *batch) unlist(ctx context.Context, cluster, parent string, o *storedObject) error {
	if data, err := pack.Unpack(o.data); err == nil {
		h := heatObject(cluster, parent, o.objectType, data)
		if err := b.deleteLabels(ctx, -o.id, o.created, h.labels); err != nil {
			return err
		}
	}
	cells := map[cell]bool{}
	for _, span := range spans {
		cells[cell{o.group, span, truncate(o.created, span)}] = true
	}
	return b.recountCells(ctx, cells)
}

// deleteObject deletes an object unless a later generation is stored, and with a Result the objects
// in it with the same or an earlier epoch.
func (b *batch) deleteObject(ctx context.Context, cluster string, of *object.Object) error {
	scopeID, err := b.intern.scope(ctx, b.tx, scope{cluster, of.Parent})
	if err != nil {
		return err
	}
	found, err := b.objects(ctx, `scope = $1 AND result = $2 AND (kind = $3 AND name = $4 OR $3 = $5)`, scopeID,
		of.Result, objectKinds[of.Kind], of.ID, resultKind)
	if err != nil {
		return err
	}
	for _, o := range found {
		later := o.generation > of.Generation
		if of.Kind == object.Result && o.kind != resultKind {
			later = epoch(o.generation) > epoch(of.Generation)
		}
		if later {
			continue
		}
		if err := b.removeObject(ctx, cluster, of.Parent, o); err != nil {
			return err
		}
	}
	return nil
}

func epoch(generation int64) int64 {
	var k layout.ObjectKey
	k.SetGeneration(generation)
	return k.Epoch
}
