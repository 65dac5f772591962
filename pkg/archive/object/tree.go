package object

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Tree is a Result with everything under it, which retention keeps or deletes as a whole.
type Tree struct {
	// Hash is the hash in the keys of the tree.
	Hash string
	// Parent and Result are its name.
	Parent, Result string
	// Objects has the live objects, first the Result if a tool wrote it.
	Objects []Object
	// Written is the time of the last write in the tree, by the store's clock.
	Written time.Time
	// keys has the newest keys that were listed.
	keys map[string]bool
}

// Idle yields the hashes of trees in which nothing was written after a time by the store's clock.
// It lists keys and reads no objects.
func (o *Objects) Idle(ctx context.Context, since time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var tree string
		var last time.Time
		resultDeleted := false
		for h, err := range o.heads(ctx, "") {
			if err != nil {
				yield("", fmt.Errorf("list objects: %w", err))
				return
			}
			if h.none() {
				continue
			}
			if h.Tree != tree {
				if tree != "" && !resultDeleted && !last.After(since) && !yield(tree, nil) {
					return
				}
				tree, last, resultDeleted = h.Tree, time.Time{}, h.Kind == Result && h.Gone
			}
			if h.info.Modified.After(last) {
				last = h.info.Modified
			}
		}
		if tree != "" && !resultDeleted && !last.After(since) {
			yield(tree, nil)
		}
	}
}

// ReadTree reads all live objects of a tree. Without any, Parent and Result are empty.
func (o *Objects) ReadTree(ctx context.Context, hash string) (*Tree, error) {
	t := &Tree{Hash: hash, keys: map[string]bool{}}
	w := &walk{Objects: o, ctx: ctx, unread: map[string]*item{}, yield: func(object Object, _ error) bool {
		t.Objects = append(t.Objects, object)
		return true
	}}
	for h, err := range o.headsOf(ctx, o.cluster.ObjectsOf(hash)) {
		if err != nil {
			return nil, fmt.Errorf("read tree %s: %w", hash, err)
		}
		if h.none() {
			continue
		}
		t.add(&h)
		i := &item{ObjectKey: h.ObjectKey, at: h.at}
		if w.items = append(w.items, i); !i.Gone {
			w.unread[i.at] = i
		}
	}
	if err := w.flush(len(w.items)); err != nil {
		return nil, fmt.Errorf("read tree %s: %w", hash, err)
	}
	if len(t.Objects) > 0 {
		t.Parent, t.Result = t.Objects[0].Parent, t.Objects[0].Result
	}
	return t, nil
}

func (t *Tree) add(h *head) {
	t.keys[h.at] = true
	if h.info.Modified.After(t.Written) {
		t.Written = h.info.Modified
	}
}

// ErrTooYoung means that DeleteTree's condition is not met at the store's time.
var ErrTooYoung = errors.New("by the store's clock it is too young")

// DeleteTree deletes a tree that was read, if it has not changed, is not held, and may returns true
// for the store's time. What is written into it concurrently is deleted with it, as when a tool
// deletes a Result. Errors are ErrConflict, ErrHeld, ErrTooYoung, and those of Delete.
func (o *Objects) DeleteTree(ctx context.Context, t *Tree, may func(at time.Time) bool) error {
	name := Name{Kind: Result, Parent: t.Parent, Result: t.Result}
	err := o.deleteUnlessHeld(ctx, t.Hash, func(mark string) error {
		info, err := o.store.Stat(ctx, mark)
		if err == nil && !may(info.Modified) {
			err = ErrTooYoung
		}
		if err == nil {
			err = o.unchanged(ctx, t)
		}
		if err != nil {
			return err
		}
		generation := int64(0)
		if len(t.Objects) > 0 && t.Objects[0].Kind == Result {
			generation = t.Objects[0].Generation
		}
		return o.delete(ctx, name, generation)
	})
	if err != nil && !errors.Is(err, ErrNotExist) {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}

// unchanged returns ErrConflict if a tree has something that did not exist when it was read.
func (o *Objects) unchanged(ctx context.Context, t *Tree) error {
	for h, err := range o.headsOf(ctx, o.cluster.ObjectsOf(t.Hash)) {
		if err != nil {
			return err
		}
		if !t.keys[h.at] && !h.Gone && !h.none() {
			return ErrConflict
		}
	}
	return nil
}
