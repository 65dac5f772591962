package object

import (
	"context"
	"errors"
	"iter"

	"golang.org/x/sync/errgroup"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Found is one key under objects, as Check found it.
type Found struct {
	Info store.Info
	// Tree is the tree in the key.
	Tree string
	// Live: it is the newest generation of something that is not deleted. Object or Err is set.
	Live bool
	// Object is what was read. Err is why it could not be read, an error of Unreadable.
	Object *Object
	Err    error
	// Leftover: it is obsolete, and Sweep deletes it.
	Leftover bool
	// Stranger: the key is not that of an object.
	Stranger bool
}

// Check yields all keys under objects, in their order, and reads every newest generation, not from
// segments. Keys that are not objects' come last. An error ends the iteration.
func (o *Objects) Check(ctx context.Context) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		c := &checking{Objects: o, yield: yield}
		for h, err := range o.heads(ctx, "") {
			if err == nil && len(c.heads) >= chunk {
				err = c.flush(ctx)
			}
			if err != nil {
				yield(Found{}, err)
				return
			}
			if c.stopped {
				return
			}
			c.heads = append(c.heads, h)
		}
		if err := c.flush(ctx); err != nil {
			yield(Found{}, err)
			return
		}
		for info, err := range o.store.List(ctx, o.cluster.Objects(), "") {
			if err != nil {
				yield(Found{}, err)
				return
			}
			if _, _, err := layout.ParseObject(info.Key); err != nil && !c.stopped {
				c.give(Found{Info: info, Stranger: true})
			}
		}
	}
}

// checking is the state of one call of Check. tree, epoch and resultDeleted are about the current
// tree.
type checking struct {
	*Objects
	yield         func(Found, error) bool
	stopped       bool
	heads         []head
	tree          string
	epoch         int64
	resultDeleted bool
}

func (c *checking) give(f Found) {
	if !c.stopped {
		c.stopped = !c.yield(f, nil)
	}
}

func (c *checking) flush(ctx context.Context) error {
	files, failed := make([]*file, len(c.heads)), make([]error, len(c.heads))
	group, groupContext := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i := range c.heads {
		if c.heads[i].none() {
			continue
		}
		group.Go(func() error {
			files[i], failed[i] = c.read(groupContext, c.heads[i].at)
			if err := failed[i]; err != nil && !Unreadable(err) {
				return err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i := range c.heads {
		c.head(&c.heads[i], files[i], failed[i])
	}
	c.heads = c.heads[:0]
	return nil
}

func (c *checking) head(h *head, f *file, failed error) {
	for _, info := range h.older {
		c.give(Found{Info: info, Tree: h.name.Tree, Leftover: true})
	}
	if h.none() || missing(failed) {
		return // deleted or replaced after it was listed
	}
	if h.Tree != c.tree {
		c.tree, c.epoch, c.resultDeleted = h.Tree, 0, false
	}
	deleted := f != nil && f.Deleted
	if h.Kind == Result {
		c.epoch, c.resultDeleted = h.Epoch, deleted
	}
	found := Found{Info: h.info, Tree: h.Tree, Err: failed}
	switch {
	case c.resultDeleted && h.Kind != Result, h.Epoch != c.epoch:
		found.Err, found.Leftover = nil, true
	case deleted:
		found.Leftover = true
		if h.Gone {
			c.give(Found{Info: h.mark, Tree: h.Tree, Leftover: true})
		}
	case h.Gone && failed == nil:
		found.Err = errors.Join(ErrDamaged, errors.New("it is marked as a tombstone, but is none"))
	case f != nil:
		found.Live, found.Object = true, &f.Object
	}
	c.give(found)
}

// Verify reads the content of a Log and compares it with both digests.
func (o *Objects) Verify(ctx context.Context, c *Content) error {
	if c.Part == "" {
		return nil
	}
	return verify(ctx, o.store, c)
}

// Damaged reports whether an error of this package says that what was read is not what was written.
func Damaged(err error) bool {
	return isDamagedSegment(err) || errors.Is(err, manifest.ErrDamaged)
}

// CheckSegment verifies a segment and all copies in it.
func (o *Objects) CheckSegment(ctx context.Context, key string) error {
	s, err := segmentFormat.Open(ctx, o.store, key)
	if err != nil {
		return err
	}
	for text, err := range s.Lines() {
		if err == nil {
			_, err = o.decodeText("", text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
