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

// summaryTimes reads the times of a Result's summary, by either name that protojson accepts. With
// both, none counts: protojson does not accept them together.
func summaryTimes(data []byte) (started, ended sql.NullInt64) {
	var summary, start, otherStart, end, otherEnd []byte
	if errors.Join(fields(data, map[string]*[]byte{"summary": &summary}), fields(summary, map[string]*[]byte{
		"startTime": &start, "start_time": &otherStart, "endTime": &end, "end_time": &otherEnd})) != nil {
		return started, ended
	}
	return oneTime(start, otherStart), oneTime(end, otherEnd)
}

// oneTime returns the time of a field that has two names.
func oneTime(a, b []byte) (seconds sql.NullInt64) {
	switch {
	case len(a) == 0:
		a = b
	case len(b) > 0:
		return seconds
	}
	if at, err := time.Parse(time.RFC3339Nano, textOf(a).String); err == nil {
		seconds = sql.NullInt64{Int64: at.Unix(), Valid: true}
	}
	return seconds
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
