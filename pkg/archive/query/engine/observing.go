package engine

import (
	"context"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/filter"
)

// look reads all records that the filter matches.
func (s *summing) look(ctx context.Context, q *query.List) error {
	m := s.merge(s.sources(q))
	for {
		items, err := s.next(ctx, m, 512)
		if err != nil || len(items) == 0 {
			return err
		}
		add := func(i *item) bool {
			s.observe(i.data)
			i.data = nil
			return true
		}
		if err := s.compare(ctx, items, add); err != nil {
			return err
		}
	}
}

// observed has what a summary reads of a record's data.
type observed struct {
	data                    []byte
	created, started, ended *int64
}

// field returns a field below data, which may be nil.
func (o *observed) field(names ...string) any {
	path := make([]filter.Step, len(names))
	for i, name := range names {
		path[i].Field = name
	}
	return filter.Lookup(o.data, path)
}

func (o *observed) reason() (reason string, absent bool) {
	return stringOf(filter.Lookup(o.data,
		[]filter.Step{{Field: "status"}, {Field: "conditions"}, {IsIndex: true}, {Field: "reason"}}))
}

// observe adds a record according to its data.
func (s *summing) observe(data []byte) {
	o := &observed{data: data}
	o.created = unixOf(o.field("metadata", "creationTimestamp"))
	o.started = unixOf(o.field("status", "startTime"))
	o.ended = unixOf(o.field("status", "completionTime"))
	to := s.sumsOf(s.bucketOfData(o))
	to.total++
	if reason, absent := o.reason(); !absent {
		to.reason(&reason, 1)
	}
	c := index.Count{}
	if o.started != nil {
		c.LastStarted.Int64, c.LastStarted.Valid = *o.started, true
	}
	if o.started != nil && o.ended != nil {
		took := *o.ended - *o.started
		c.Timed, c.Days, c.Seconds = 1, took/day, took%day
		c.Shortest.Int64, c.Shortest.Valid = took, true
		c.Longest = c.Shortest
	}
	to.add(&c)
}

// bucketOfData is bucketOf for a record that was read.
func (s *summing) bucketOfData(o *observed) (b bucket) {
	switch s.grouping.name {
	case "":
		b.null = true
	case "namespace":
		b.name, b.null = stringOf(o.field("metadata", "namespace"))
	case "pipeline", "repository":
		namespace, _ := stringOf(o.field("metadata", "namespace"))
		name := o.field("metadata", "labels", "tekton.dev/pipeline")
		if s.grouping.name == "repository" {
			name = o.field("metadata", "annotations", "pipelinesascode.tekton.dev/repository")
		}
		text, _ := stringOf(name)
		b.name = namespace + "/" + text
	default:
		at := o.created
		switch s.grouping.by {
		case index.ByStarted:
			at = o.started
		case index.ByCompleted:
			at = o.ended
		}
		if b.null = at == nil; !b.null {
			b.at = s.grouping.begin(*at)
		}
	}
	return b
}

func stringOf(value any) (text string, absent bool) {
	d, ok := value.(filter.Dyn)
	return d.Text, !ok
}

// unixOf returns a time in seconds since 1970, nil if the value is none.
func unixOf(value any) *int64 {
	d, ok := value.(filter.Dyn)
	if !ok || d.Kind != filter.String {
		return nil
	}
	t, err := time.Parse(time.RFC3339Nano, d.Text)
	if err != nil {
		return nil
	}
	at := t.Unix()
	return &at
}
