package object

import (
	"context"
	"fmt"
	"iter"

	"golang.org/x/sync/errgroup"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// List yields the newest generation of each object that is not deleted, in the order of keys: first
// the Result, then the objects under it. An error ends the iteration.
func (o *Objects) List(ctx context.Context) iter.Seq2[Object, error] {
	return o.Changed(ctx, func(string) bool { return false }, nil)
}

// Changed is List for an index. For an object whose key is known to the index, it yields only the
// Key, without reading it. It calls known once per key, in byte order, except for keys that are
// listed as deleted. So an update of the index costs reads for what has changed, and a listing for
// the rest. Rows whose keys are not yielded have to be deleted from the index. If many objects of a
// bucket are unknown, they are read from segments.
//
// damaged is called for objects that cannot be read, which are not yielded; fsck reports details.
// If it is nil, they are errors.
func (o *Objects) Changed(
	ctx context.Context, known func(key string) bool, damaged func(key string, err error),
) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		w := &walk{Objects: o, ctx: ctx, known: known, damaged: damaged, yield: yield}
		if err := w.run(); err != nil {
			yield(Object{}, fmt.Errorf("list objects: %w", err))
		}
	}
}

// walk is the state of one call of Changed. It holds the keys of a bucket, which is a 256th of all
// objects, and chunk objects or those of one segment.
type walk struct {
	*Objects
	ctx     context.Context //nolint:containedctx // it is used for one listing
	known   func(key string) bool
	damaged func(key string, err error)
	yield   func(Object, error) bool
	stopped bool
	// items are the keys of a bucket that have not been yielded. unread has those that have to be
	// read.
	items  []*item
	unread map[string]*item
	// epoch and resultDeleted are about the Result of tree, the current one.
	tree          string
	epoch         int64
	resultDeleted bool
}

// item is the newest generation of a name.
type item struct {
	layout.ObjectKey
	at     string
	object *Object
	err    error
}

const (
	// chunk is the number of objects that are read before they are yielded, readers the number of
	// concurrent reads.
	chunk   = 256
	readers = 16
	// worthwhile is the number of unread objects in a bucket from which its segments are read.
	worthwhile = 16
)

func (w *walk) run() error {
	for h, err := range w.heads(w.ctx, "") {
		if err != nil {
			return err
		}
		if h.none() {
			continue
		}
		if n := len(w.items); n > 0 && bucketOf(w.items[n-1].Tree) != bucketOf(h.Tree) {
			if err := w.bucket(); err != nil || w.stopped {
				return err
			}
		}
		w.items = append(w.items, &item{ObjectKey: h.ObjectKey, at: h.at})
	}
	return w.bucket()
}

func bucketOf(tree string) string { return tree[:layout.BucketDigits] }

// heads yields the head of each name, also of names with only marks, in trees that begin with some
// digits.
func (o *Objects) heads(ctx context.Context, digits string) iter.Seq2[head, error] {
	return o.headsOf(ctx, o.cluster.ObjectsIn(digits))
}

// headsOf yields the heads of keys with a prefix.
func (o *Objects) headsOf(ctx context.Context, below string) iter.Seq2[head, error] {
	return func(yield func(head, error) bool) {
		var h head
		for info, err := range o.store.List(ctx, below, "") {
			if err != nil {
				yield(head{}, err)
				return
			}
			_, k, err := layout.ParseObject(info.Key)
			if err != nil {
				continue // reported by fsck
			}
			if h.name.Tree != "" && !h.same(k) {
				if h.end(); !yield(h, nil) {
					return
				}
				h = head{}
			}
			h.add(k, info)
		}
		if h.end(); h.name.Tree != "" {
			yield(h, nil)
		}
	}
}

// same reports whether a key is of the head's name. A Result has one name in all epochs.
func (h *head) same(k layout.ObjectKey) bool {
	was := h.name
	return was.Tree == k.Tree && was.Kind == k.Kind && was.ID == k.ID && (k.Kind == Result || was.Epoch == k.Epoch)
}

// bucket reads and yields the listed objects of a bucket.
func (w *walk) bucket() error {
	w.unread = map[string]*item{}
	var result item
	for _, i := range w.items {
		if i.Kind == Result || i.Tree != result.Tree {
			result = item{ObjectKey: layout.ObjectKey{Tree: i.Tree}}
		}
		if i.Kind == Result {
			result = *i
		}
		if dead := i.Gone || result.Gone || i.Epoch != result.Epoch; !dead && !w.known(i.at) {
			w.unread[i.at] = i
		}
	}
	if len(w.unread) >= worthwhile {
		if err := w.segments(bucketOf(w.items[0].Tree)); err != nil {
			return err
		}
	}
	return w.flush(len(w.items))
}

// segments reads unread objects from segments. After each segment it yields what is complete, so
// that only one segment is in memory.
func (w *walk) segments(digits string) error {
	for info, err := range w.store.List(w.ctx, w.cluster.ObjectSegmentsIn(digits), "") {
		if err != nil {
			return err
		}
		if len(w.unread) == 0 || w.stopped {
			return nil
		}
		last, err := w.segment(info.Key)
		if err != nil {
			return err
		}
		if err := w.flush(w.before(last)); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) segment(key string) (last string, err error) {
	s, err := segmentFormat.Open(w.ctx, w.store, key)
	if err == nil {
		for text, lineErr := range s.Lines() {
			if err = lineErr; err != nil {
				break
			}
			var f *file
			if f, err = w.decodeText("", text); err != nil {
				break
			}
			if last = max(last, f.Key); w.unread[f.Key] != nil {
				w.unread[f.Key].object = &f.Object
				delete(w.unread, f.Key)
			}
		}
	}
	if missing(err) || isDamagedSegment(err) {
		if w.damaged != nil && isDamagedSegment(err) {
			w.damaged(key, err)
		}
		err = nil // unread objects are read from the store
	}
	return last, err
}

// before returns how many items can be yielded after a segment with objects up to a key was read:
// those of the trees before the key's tree.
func (w *walk) before(key string) int {
	for n, i := range w.items {
		if last, ok := parse(key); !ok || i.Tree >= last.Tree {
			return n
		}
	}
	return len(w.items)
}

// flush reads the unread objects among the first n items, and yields all n.
func (w *walk) flush(n int) error {
	for n > 0 && !w.stopped {
		some := min(n, chunk)
		if err := w.readAllOf(w.items[:some]); err != nil {
			return err
		}
		for _, i := range w.items[:some] {
			if err := w.item(i); err != nil || w.stopped {
				return err
			}
			i.object = nil
		}
		w.items = w.items[some:]
		n -= some
	}
	return nil
}

func (w *walk) readAllOf(items []*item) error {
	group, ctx := errgroup.WithContext(w.ctx)
	group.SetLimit(readers)
	for _, i := range items {
		if w.unread[i.at] == nil {
			continue
		}
		group.Go(func() error {
			f, err := w.follow(ctx, i)
			if i.err = err; err == nil {
				i.object = &f.Object
			} else if !Unreadable(err) {
				return err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, i := range items {
		delete(w.unread, i.at)
	}
	return nil
}

// follow reads an item, or the generation that has replaced it since it was listed.
func (w *walk) follow(ctx context.Context, i *item) (*file, error) {
	f, err := w.read(ctx, i.at)
	if !missing(err) {
		return f, err
	}
	_, f, err = w.newest(ctx, i.ObjectKey)
	if err == nil && f == nil {
		err = fmt.Errorf("read %s: %w", i.at, store.ErrNotExist)
	}
	return f, err
}

// item yields an item, unless it or its Result is deleted.
func (w *walk) item(i *item) error {
	if i.Tree != w.tree {
		w.tree, w.epoch, w.resultDeleted = i.Tree, 0, false
	}
	deleted := i.Gone || i.object != nil && i.object.Deleted || missing(i.err)
	if i.Kind == Result {
		w.epoch, w.resultDeleted = i.Epoch, deleted
	}
	switch {
	case deleted, w.resultDeleted, i.Epoch != w.epoch:
	case i.err != nil && w.damaged != nil:
		w.damaged(i.at, i.err)
	case i.err != nil:
		return i.err
	case i.object == nil:
		w.stopped = !w.yield(Object{Key: i.at}, nil)
	default:
		w.stopped = !w.yield(*i.object, nil)
	}
	return nil
}
