package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index/pack"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// Kinds of objects, as their table has them.
var objectKinds = map[object.Kind]int64{object.Result: 1, object.Record: 2, object.Log: 3}

const resultKind, recordKind = 1, 2

// flagShadowed says that an object is not listed, because an archived run has a record of its name: that is the one that is served.
const flagShadowed = 1 << 10

// unlisted is the group of what is in no list.
const unlisted = 0

var objectsTable = table{name: "indelible_objects", columns: []string{
	"id", "scope", "kind", "result", "name", "uid", "generation", "object_key", "created", "micros", "committed", "grp", "started", "completed", "pipeline", "repository", "flags", "type", "data",
}}

// PutObjects implements Index.
func (d *database) PutObjects(ctx context.Context, cluster string, objects ...object.Object) error {
	packed := make([]*packedObject, len(objects))
	for i := range objects {
		packed[i] = packObject(cluster, &objects[i])
	}
	err := d.writer.do(ctx, change{apply: func(ctx context.Context, b *batch) error {
		for _, p := range packed {
			if err := b.putObject(ctx, p); err != nil {
				return err
			}
		}
		return b.flush(ctx)
	}})
	if err != nil {
		return fmt.Errorf("index: put %d objects: %w", len(objects), err)
	}
	return nil
}

// DeleteObjects implements Index.
func (d *database) DeleteObjects(ctx context.Context, cluster string, objects ...object.Object) error {
	err := d.writer.do(ctx, change{apply: func(ctx context.Context, b *batch) error {
		for i := range objects {
			if err := b.deleteObject(ctx, cluster, &objects[i]); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		return fmt.Errorf("index: delete %d objects: %w", len(objects), err)
	}
	return nil
}

// packedObject is an object as the table has it.
type packedObject struct {
	cluster string
	*object.Object
	hot  hot
	data []byte
}

func packObject(cluster string, o *object.Object) *packedObject {
	p := &packedObject{cluster: cluster, Object: o, data: pack.Pack(o.Data)}
	switch o.Kind {
	case object.Record:
		p.hot = heatObject(cluster, o.Parent, o.Type, o.Data)
	case object.Result:
		p.hot.started, p.hot.ended = summaryTimes(o.Data)
	}
	p.hot.created = o.Created.Unix()
	p.hot.clean()
	return p
}

func heatObject(cluster, parent, dataType string, data []byte) hot {
	h, _ := heat(cluster, parent, data)
	h.kind, h.tool, h.flags = dataType, true, 0
	return h
}

// summaryTimes are those of a Result's summary, by either name that protojson knows.
func summaryTimes(data []byte) (started, ended sql.NullInt64) {
	var summary []byte
	times := map[string]*[]byte{"startTime": {}, "start_time": {}, "endTime": {}, "end_time": {}}
	for name := range times {
		times[name] = new([]byte)
	}
	if errors.Join(fields(data, map[string]*[]byte{"summary": &summary}), fields(summary, times)) != nil {
		return started, ended
	}
	for name, to := range map[string]*sql.NullInt64{"startTime": &started, "start_time": &started, "endTime": &ended, "end_time": &ended} {
		if at, err := time.Parse(time.RFC3339Nano, textOf(*times[name]).String); err == nil {
			*to = sql.NullInt64{Int64: at.Unix(), Valid: true}
		}
	}
	return started, ended
}

// storedObject is a row of the table.
type storedObject struct {
	id, scope, kind          int64
	result, name, objectType string
	generation, created      int64
	group, flags             int64
	data                     []byte
}

const selectObject = `SELECT id, scope, kind, result, name, type, generation, created, grp, flags, data FROM indelible_objects WHERE `

func (b *batch) objects(ctx context.Context, where string, args ...any) (found []*storedObject, err error) {
	rows, err := b.tx.QueryContext(ctx, selectObject+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		o := &storedObject{}
		if err := rows.Scan(&o.id, &o.scope, &o.kind, &o.result, &o.name, &o.objectType, &o.generation, &o.created, &o.group, &o.flags, &o.data); err != nil {
			return nil, err
		}
		found = append(found, o)
	}
	return found, rows.Err()
}

// putObject leaves a later generation that is there.
func (b *batch) putObject(ctx context.Context, p *packedObject) error {
	if p.Deleted {
		return b.deleteObject(ctx, p.cluster, p.Object)
	}
	scopeID, err := b.intern.scope(ctx, b.tx, scope{p.cluster, p.Parent})
	if err != nil {
		return err
	}
	found, err := b.objects(ctx, `scope = $1 AND result = $2 AND kind = $3 AND name = $4`, scopeID, p.Result, objectKinds[p.Kind], p.ID)
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
		// Readers know namespaces by their groups, and this may be all that the namespace has.
		if _, _, err = b.intern.group(ctx, b.tx, group{cluster: p.cluster, namespace: p.Parent, tool: true}); err != nil {
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
		id, scopeID, objectKinds[p.Kind], p.Result, p.ID, p.UID, p.Generation, p.Key, h.created, at - h.created*1e6, p.Updated.UnixMicro(),
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

// isShadowed says whether an archived run has a record of the name.
func (b *batch) isShadowed(ctx context.Context, p *packedObject) (bool, error) {
	if p.Kind != object.Record {
		return false, nil
	}
	uids, err := scanTexts(b.tx.QueryContext(ctx, `SELECT uid FROM indelible_runs WHERE result = $1 AND namespace = $2 AND cluster = $3`, p.Result, p.Parent, p.cluster))
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(uids, func(uid string) bool {
		return slices.Contains(recordsOf(p.Result, uid), p.ID)
	}), nil
}

// recordsOf are the names of the records of a run.
func recordsOf(result, uid string) []string {
	return []string{uid, run.LogID(result, uid), run.EventListID(result, uid)}
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

// removeObject removes a row with what was noted of it.
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

// unlist removes what labels and rollups have of an object.
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

// deleteObject leaves what is of a later generation. With a Result goes what is under it, of its epoch or an earlier one.
func (b *batch) deleteObject(ctx context.Context, cluster string, of *object.Object) error {
	scopeID, err := b.intern.scope(ctx, b.tx, scope{cluster, of.Parent})
	if err != nil {
		return err
	}
	found, err := b.objects(ctx, `scope = $1 AND result = $2 AND (kind = $3 AND name = $4 OR $3 = $5)`, scopeID, of.Result, objectKinds[of.Kind], of.ID, resultKind)
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

// shadow takes objects out of lists of which runs, that are put, have the names.
func (b *batch) shadow(ctx context.Context, rows []*packedRow) error {
	var any bool
	if err := b.tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM indelible_objects)`).Scan(&any); err != nil || !any {
		return err
	}
	var names []string
	owner := map[string]*packedRow{}
	for _, row := range rows {
		for _, name := range recordsOf(row.result, row.uid) {
			names, owner[name] = append(names, name), row
		}
	}
	found, err := b.objects(ctx, `name`+b.dialect.any("$1", words)+` AND kind = $2 AND grp <> 0`, b.dialect.list(names), recordKind)
	if err != nil {
		return err
	}
	for _, o := range found {
		row := owner[o.name]
		scopeID, err := b.intern.scope(ctx, b.tx, scope{row.cluster, row.hot.namespace})
		if err != nil {
			return err
		}
		if scopeID != o.scope || row.result != o.result {
			continue
		}
		if _, err := b.tx.ExecContext(ctx, `UPDATE indelible_objects SET grp = 0, flags = $1 WHERE id = $2`, flagShadowed, o.id); err != nil {
			return err
		}
		if err := b.unlist(ctx, row.cluster, row.hot.namespace, o); err != nil {
			return err
		}
	}
	return nil
}

// unshadow brings objects back into lists whose names runs had that are deleted.
func (b *batch) unshadow(ctx context.Context, runs []*storedHot) error {
	var any bool
	if err := b.tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM indelible_objects)`).Scan(&any); err != nil || !any {
		return err
	}
	for _, r := range runs {
		scopeID, err := b.intern.scope(ctx, b.tx, scope{r.cluster, r.namespace})
		if err != nil {
			return err
		}
		found, err := b.objects(ctx, `scope = $1 AND result = $2 AND name`+b.dialect.any("$3", words)+` AND kind = $4 AND grp = 0`,
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
	if _, err := b.tx.ExecContext(ctx, `UPDATE indelible_objects SET grp = $1, flags = 0 WHERE id = $2`, groupID, o.id); err != nil {
		return err
	}
	b.note(-o.id, groupID, &h)
	return b.flush(ctx)
}

// objectsPage is how many keys of objects one statement reads.
const objectsPage = 4096

// Objects implements Index.
func (d *database) Objects(ctx context.Context, cluster string) iter.Seq2[object.Object, error] {
	return func(yield func(object.Object, error) bool) {
		last := ""
		for {
			found, err := d.objectsAfter(ctx, cluster, last)
			if err != nil {
				yield(object.Object{}, fmt.Errorf("index: list objects: %w", err))
				return
			}
			for _, o := range found {
				if !yield(o, nil) {
					return
				}
			}
			if len(found) < objectsPage {
				return
			}
			last = found[len(found)-1].Key
		}
	}
}

func (d *database) objectsAfter(ctx context.Context, cluster, last string) (found []object.Object, err error) {
	rows, err := d.read.QueryContext(ctx, `SELECT o.object_key, o.kind, s.namespace, o.result, o.name, o.uid, o.generation FROM indelible_objects o
		JOIN indelible_scopes s ON s.id = o.scope WHERE o.object_key > $1 AND s.cluster = $2 ORDER BY o.object_key LIMIT $3`, last, cluster, objectsPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var o object.Object
		var kind int64
		if err := rows.Scan(&o.Key, &kind, &o.Parent, &o.Result, &o.ID, &o.UID, &o.Generation); err != nil {
			return nil, err
		}
		for name, n := range objectKinds {
			if n == kind {
				o.Kind = name
			}
		}
		found = append(found, o)
	}
	return found, rows.Err()
}

// DeleteObjectKeys implements Index.
func (d *database) DeleteObjectKeys(ctx context.Context, cluster string, keys ...string) error {
	err := d.writer.do(ctx, change{apply: func(ctx context.Context, b *batch) error {
		found, err := b.objects(ctx, `object_key`+b.dialect.any("$1", words)+` AND scope IN (SELECT id FROM indelible_scopes WHERE cluster = $2)`, b.dialect.list(keys), cluster)
		if err != nil {
			return err
		}
		for _, o := range found {
			var parent string
			if err := b.tx.QueryRowContext(ctx, `SELECT namespace FROM indelible_scopes WHERE id = $1`, o.scope).Scan(&parent); err != nil {
				return err
			}
			if err := b.removeObject(ctx, cluster, parent, o); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		return fmt.Errorf("index: delete %d objects: %w", len(keys), err)
	}
	return nil
}
