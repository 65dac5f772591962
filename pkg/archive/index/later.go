package index

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/object"
)

// ErrUnavailable is the error of an index that cannot be opened at the moment.
var ErrUnavailable = errors.New("the index cannot be opened")

// reopenAfter is the minimum time between attempts to open an index.
const reopenAfter = 10 * time.Second

// OpenLater is Open, except for a database that does not answer: then the Index's methods fail with
// ErrUnavailable, and later calls try to open it again. So archiving does not wait for it.
func OpenLater(ctx context.Context, rawURL string) (Index, error) {
	return openLater(ctx, func(ctx context.Context) (Index, error) { return Open(ctx, rawURL) }, time.Now)
}

func openLater(ctx context.Context, open func(context.Context) (Index, error), now func() time.Time) (Index, error) {
	opened, err := open(ctx)
	if err == nil || errors.Is(err, ErrVersion) || errors.Is(err, ErrURL) {
		return opened, err
	}
	return &later{open: open, now: now, failed: err, at: now()}, nil
}

// later is an index that may not be open yet.
type later struct {
	open func(context.Context) (Index, error)
	now  func() time.Time

	mu     sync.Mutex
	index  Index
	failed error
	// at is the time of the last attempt.
	at     time.Time
	closed bool
}

// get returns the index. Concurrent calls wait while it is opened.
func (l *later) get(ctx context.Context) (Index, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed
	}
	if l.index == nil && l.now().Sub(l.at) >= reopenAfter {
		l.index, l.failed = l.open(ctx)
		l.at = l.now()
	}
	if l.index == nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, l.failed)
	}
	return l.index, nil
}

// Put implements Index.
func (l *later) Put(ctx context.Context, rows ...Row) error {
	x, err := l.get(ctx)
	if err != nil {
		return err
	}
	return x.Put(ctx, rows...)
}

// Get implements Index.
func (l *later) Get(ctx context.Context, cluster, uid string) (Row, error) {
	x, err := l.get(ctx)
	if err != nil {
		return Row{}, err
	}
	return x.Get(ctx, cluster, uid)
}

// Delete implements Index.
func (l *later) Delete(ctx context.Context, cluster string, uids ...string) error {
	x, err := l.get(ctx)
	if err != nil {
		return err
	}
	return x.Delete(ctx, cluster, uids...)
}

// Find implements Index.
func (l *later) Find(ctx context.Context, q Query) iter.Seq2[Row, error] {
	x, err := l.get(ctx)
	if err != nil {
		return func(yield func(Row, error) bool) { yield(Row{}, err) }
	}
	return x.Find(ctx, q)
}

// Keys implements Index.
func (l *later) Keys(ctx context.Context, cluster, after string) iter.Seq2[string, error] {
	x, err := l.get(ctx)
	if err != nil {
		return func(yield func(string, error) bool) { yield("", err) }
	}
	return x.Keys(ctx, cluster, after)
}

// Complete implements Index.
func (l *later) Complete(ctx context.Context, cluster string) (bool, error) {
	x, err := l.get(ctx)
	if err != nil {
		return false, err
	}
	return x.Complete(ctx, cluster)
}

// SetComplete implements Index.
func (l *later) SetComplete(ctx context.Context, cluster string, complete bool) error {
	x, err := l.get(ctx)
	if err != nil {
		return err
	}
	return x.SetComplete(ctx, cluster, complete)
}

// PutObjects implements Index.
func (l *later) PutObjects(ctx context.Context, cluster string, objects ...object.Object) error {
	x, err := l.get(ctx)
	if err != nil {
		return err
	}
	return x.PutObjects(ctx, cluster, objects...)
}

// DeleteObjects implements Index.
func (l *later) DeleteObjects(ctx context.Context, cluster string, objects ...object.Object) error {
	x, err := l.get(ctx)
	if err != nil {
		return err
	}
	return x.DeleteObjects(ctx, cluster, objects...)
}

// Objects implements Index.
func (l *later) Objects(ctx context.Context, cluster string) iter.Seq2[object.Object, error] {
	x, err := l.get(ctx)
	if err != nil {
		return func(yield func(object.Object, error) bool) { yield(object.Object{}, err) }
	}
	return x.Objects(ctx, cluster)
}

// DeleteObjectKeys implements Index.
func (l *later) DeleteObjectKeys(ctx context.Context, cluster string, keys ...string) error {
	x, err := l.get(ctx)
	if err != nil {
		return err
	}
	return x.DeleteObjectKeys(ctx, cluster, keys...)
}

// CheckCounts implements Index.
func (l *later) CheckCounts(ctx context.Context, repair bool) (int, error) {
	x, err := l.get(ctx)
	if err != nil {
		return 0, err
	}
	return x.CheckCounts(ctx, repair)
}

// Reader implements Index.
func (l *later) Reader(ctx context.Context) (Reader, error) {
	x, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return x.Reader(ctx)
}

// Close implements Index.
func (l *later) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.index == nil {
		return nil
	}
	return l.index.Close()
}
