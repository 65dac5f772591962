package index

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/object"
)

// objectsAtOnce is how many objects are put together.
const objectsAtOnce = 64

// syncObjects updates the rows of objects. Both lists are sorted by key, and an object is read only
// if its newest generation has no row.
func (s *syncing) syncObjects(ctx context.Context) error {
	c := &comparing{syncing: s, objects: object.New(s.Store, s.Cluster, time.Now)}
	var stop func()
	c.next, stop = iter.Pull2(s.Index.Objects(ctx, string(s.Cluster)))
	defer stop()
	c.advance()
	damaged := func(key string, err error) {
		s.totals.Damaged++
		s.Damaged(key, err)
	}
	for o, err := range c.objects.Changed(ctx, c.known, damaged) {
		if err = errors.Join(err, c.err); err != nil {
			return err
		}
		if err := c.add(ctx, o); err != nil {
			return err
		}
	}
	for c.more && c.err == nil {
		c.gone = append(c.gone, c.row)
		c.advance()
	}
	if c.err != nil {
		return c.err
	}
	return errors.Join(c.put(ctx), c.delete(ctx))
}

// comparing is one call of syncObjects. row is the next one of the index, found are objects without
// a row, and gone rows without an object.
type comparing struct {
	*syncing
	objects *object.Objects
	next    func() (object.Object, error, bool)
	row     object.Object
	err     error
	more    bool
	found   []object.Object
	gone    []object.Object
}

func (c *comparing) advance() { c.row, c.err, c.more = c.next() }

// known says whether a key has a row. Keys come in order.
func (c *comparing) known(key string) bool {
	for c.more && c.err == nil && c.row.Key < key {
		c.gone = append(c.gone, c.row)
		c.advance()
	}
	if !c.more || c.err != nil || c.row.Key != key {
		return false
	}
	c.advance()
	return true
}

func (c *comparing) add(ctx context.Context, o object.Object) error {
	c.totals.Objects++
	if o.Kind != "" { // else its row is correct, and it is only a key
		c.found = append(c.found, o)
	}
	if len(c.found) >= objectsAtOnce {
		if err := c.put(ctx); err != nil {
			return err
		}
	}
	if len(c.gone) < page {
		return nil
	}
	return c.delete(ctx)
}

func (c *comparing) put(ctx context.Context) error {
	found := c.found
	c.found = nil
	if len(found) == 0 {
		return nil
	}
	err := c.Index.PutObjects(ctx, string(c.Cluster), found...)
	if !errors.Is(err, ErrRefused) {
		c.totals.ObjectsAdded += len(found)
		return err
	}
	for i := range found { // each alone, and without those that are refused
		switch err := c.Index.PutObjects(ctx, string(c.Cluster), found[i]); {
		case errors.Is(err, ErrRefused):
			c.totals.Damaged++
			c.Damaged(found[i].Key, err)
		case err != nil:
			return err
		default:
			c.totals.ObjectsAdded++
		}
	}
	return nil
}

// delete removes rows that are not the newest generation. It reads each object's newest generation,
// which may have been written after its place in the list was read.
func (c *comparing) delete(ctx context.Context) error {
	var gone []string
	for _, row := range c.gone {
		newest, err := c.objects.Get(ctx, row.Name())
		switch {
		case errors.Is(err, object.ErrNotExist), errors.Is(err, object.ErrDamaged), errors.Is(err, object.ErrVersion):
			gone = append(gone, row.Key)
		case err != nil:
			return err
		case newest.Key != row.Key:
			c.found = append(c.found, newest)
		}
	}
	c.gone = c.gone[:0]
	if err := c.put(ctx); err != nil || len(gone) == 0 {
		return err
	}
	c.totals.ObjectsDeleted += len(gone)
	return c.Index.DeleteObjectKeys(ctx, string(c.Cluster), gone...)
}

// deleteObjects deletes the rows of a cluster's objects.
func deleteObjects(ctx context.Context, o SyncOptions) error {
	var keys []string
	for row, err := range o.Index.Objects(ctx, string(o.Cluster)) {
		if err != nil {
			return err
		}
		if keys = append(keys, row.Key); len(keys) == page {
			if err := o.Index.DeleteObjectKeys(ctx, string(o.Cluster), keys...); err != nil {
				return err
			}
			keys = keys[:0]
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return o.Index.DeleteObjectKeys(ctx, string(o.Cluster), keys...)
}
