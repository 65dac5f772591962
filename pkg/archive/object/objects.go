package object

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Objects reads and writes the second class of objects of one cluster. Methods may be called concurrently,
// also by several processes on the same place. Who writes must have found that the archive is its cluster's
// (pkg/archive/identity).
type Objects struct {
	store   store.Store
	cluster layout.Cluster
	now     func() time.Time
}

// New returns the objects of a cluster.
func New(s store.Store, cluster layout.Cluster, now func() time.Time) *Objects {
	return &Objects{store: s, cluster: cluster, now: now}
}

// Get returns the newest generation, or ErrNotExist.
func (o *Objects) Get(ctx context.Context, name Name) (Object, error) {
	return Object{}, errors.ErrUnsupported
}

// Create writes an object where there is none, or ErrExists. UID, Created and Updated are given where they are
// zero. A Record or Log needs no object of its Result, which archived runs may make; but where the Result was
// deleted, the error is ErrNotExist.
func (o *Objects) Create(ctx context.Context, object Object) (Object, error) {
	return Object{}, errors.ErrUnsupported
}

// Update writes the next generation of an object, which has the Generation and UID that it was read with.
// Created is kept, Updated is now. The error is ErrConflict if that generation is not the newest, ErrNotExist if
// there is nothing.
func (o *Objects) Update(ctx context.Context, object Object) (Object, error) {
	return Object{}, errors.ErrUnsupported
}

// Delete writes a tombstone. generation is the one to be deleted; 0 is whichever is the newest. A Result's
// Records and Logs are deleted with it, at once for all who look, and then from the store.
func (o *Objects) Delete(ctx context.Context, name Name, generation int64) error {
	return errors.ErrUnsupported
}

// List yields the newest generation of each object that is not deleted, in the order of keys: all of a Result
// in a row, the Result first.
func (o *Objects) List(ctx context.Context) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) { yield(Object{}, errors.ErrUnsupported) }
}

// Changed is List for an index: of an object whose Key is known it yields the Key alone, without reading it. So
// a rebuild costs reads for what has changed, and a list of keys for the rest. Rows with keys that are not
// yielded are to be deleted from the index. Keys come in byte order. Where many are unknown they are read from
// segments.
func (o *Objects) Changed(ctx context.Context, known func(key string) bool) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) { yield(Object{}, errors.ErrUnsupported) }
}

// PutLog writes the content of a log, in place of what it was, in constant memory. It returns the object, whose
// Data is a Content.
func (o *Objects) PutLog(ctx context.Context, name Name, content io.Reader) (Object, error) {
	return Object{}, errors.ErrUnsupported
}

// OpenLog returns the content of a log that Get or PutLog returned. A reader that reaches the end without an
// error has what was written.
func (o *Objects) OpenLog(ctx context.Context, log Object) (io.ReadCloser, error) {
	return nil, errors.ErrUnsupported
}
