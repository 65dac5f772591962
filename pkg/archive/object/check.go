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

// Found is one key below objects, as Check found it.
type Found struct {
	Info store.Info
	// Tree is what the key says of the Result.
	Tree string
	// Live says that it is the newest generation of something that is not deleted. It has Object
	// then, or Err.
	Live bool
	// Object is what was read, Err why it was not: that is Unreadable.
	Object *Object
	Err    error
	// Leftover is of what nobody sees any more. Sweep deletes it.
	Leftover bool
	// Stranger is a key that is not that of an object.
	Stranger bool
}

// Check yields what there is below objects in the order of keys, and reads every newest generation
// itself, not from segments. An error is the last that is yielded.
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

// checking is one run of Check.
type checking struct {
	*Objects
	yield   func(Found, error) bool
	stopped bool
	heads   []head
	tree    string
	epoch   int64
	gone    bool
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
		return // what was deleted or replaced since it was listed
	}
	if h.Tree != c.tree {
		c.tree, c.epoch, c.gone = h.Tree, 0, false
	}
	deleted := f != nil && f.Deleted
	if h.Kind == Result {
		c.epoch, c.gone = h.Epoch, deleted
	}
	found := Found{Info: h.info, Tree: h.Tree, Err: failed}
	switch {
	case c.gone && h.Kind != Result, h.Epoch != c.epoch:
		found.Err, found.Leftover = nil, true
	case deleted:
		found.Leftover = true
		if h.Gone {
			c.give(Found{Info: h.mark, Tree: h.Tree, Leftover: true})
		}
	case h.Gone && failed == nil:
		found.Err = errors.Join(ErrDamaged, errors.New("it is marked as a tombstone, and is none"))
	case f != nil:
		found.Live, found.Object = true, &f.Object
	}
	c.give(found)
}

// Verify reads the content of a Log and compares all that is said of it.
func (o *Objects) Verify(ctx context.Context, c *Content) error {
	if c.Part == "" {
		return nil
	}
	return verify(ctx, o.store, c)
}

// Damaged says of an error of this package that what was read is not what was written.
func Damaged(err error) bool {
	return isDamagedSegment(err) || errors.Is(err, manifest.ErrDamaged)
}

// CheckSegment reads a segment and all copies in it.
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
