package index

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index/pack"
	"github.com/indelible-ci/indelible/pkg/archive/object"
)

// Kinds of objects in the table.
var objectKinds = map[object.Kind]int64{object.Result: 1, object.Record: 2, object.Log: 3}

const resultKind, recordKind = 1, 2

// flagShadowed: the object is not listed because an archived run has a record of the same name,
// which is served instead.
const flagShadowed = 1 << 10

// unlisted is the group of objects that no list has.
const unlisted = 0

// packedObject is an object as the table has it.
type packedObject struct {
	cluster string
	*object.Object
	hot  hot
	data []byte
}

func packObject(cluster string, o *object.Object) (*packedObject, error) {
	if err := indexable(o.Parent, o.Result, o.ID, o.Type); err != nil {
		return nil, err
	}
	p := &packedObject{cluster: cluster, Object: o, data: pack.Pack(o.Data)}
	switch o.Kind {
	case object.Record:
		p.hot = heatObject(cluster, o.Parent, o.Type, o.Data)
	case object.Result:
		p.hot.started, p.hot.ended = summaryTimes(o.Data)
	}
	p.hot.created = o.Created.Unix()
	p.hot.clean()
	return p, nil
}

func heatObject(cluster, parent, dataType string, data []byte) hot {
	h, _ := heat(cluster, parent, data)
	h.kind, h.tool, h.flags = dataType, true, 0
	return h
}

// summaryTimes reads the times of a Result's summary, by either name that protojson accepts.
func summaryTimes(data []byte) (started, ended sql.NullInt64) {
	var summary []byte
	times := map[string]*[]byte{"startTime": {}, "start_time": {}, "endTime": {}, "end_time": {}}
	for name := range times {
		times[name] = new([]byte)
	}
	if errors.Join(fields(data, map[string]*[]byte{"summary": &summary}), fields(summary, times)) != nil {
		return started, ended
	}
	for name, to := range map[string]*sql.NullInt64{"startTime": &started, "start_time": &started, "endTime": &ended,
		"end_time": &ended} {
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
		if err := rows.Scan(&o.id, &o.scope, &o.kind, &o.result, &o.name, &o.objectType, &o.generation, &o.created,
			&o.group, &o.flags, &o.data); err != nil {
			return nil, err
		}
		found = append(found, o)
	}
	return found, rows.Err()
}
