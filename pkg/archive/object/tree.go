package object

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Tree is a Result with all that is under it: what retention keeps or deletes as a whole.
type Tree struct {
	// Hash is what the keys of all of it have in them.
	Hash string
	// Parent and Result are its name.
	Parent, Result string
	// Objects are the live ones, the Result first if a tool wrote it.
	Objects []Object
	// Written is when anything of it was written last, by the store's clock.
	Written time.Time
	// keys are all that were listed.
	keys map[string]bool
}

// Idle yields the hashes of trees in which nothing was written after a time of the store. It lists
// keys, and reads nothing.
func (o *Objects) Idle(ctx context.Context, since time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var tree string
		var last time.Time
		gone := false
		for h, err := range o.heads(ctx, "") {
			if err != nil {
				yield("", fmt.Errorf("list objects: %w", err))
				return
			}
			if h.none() {
				continue
			}
			if h.Tree != tree {
				if tree != "" && !gone && !last.After(since) && !yield(tree, nil) {
					return
				}
				tree, last, gone = h.Tree, time.Time{}, h.Kind == Result && h.Gone
			}
			if h.info.Modified.After(last) {
				last = h.info.Modified
			}
		}
		if tree != "" && !gone && !last.After(since) {
			yield(tree, nil)
		}
	}
}

// ReadTree reads all that is live in a tree. Without anything it has no name.
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

// ErrTooYoung is the error of DeleteTree where the store's clock says so.
var ErrTooYoung = errors.New("by the store's clock it is too young")

// DeleteTree deletes a tree that was read, if it is still what it was, no hold is on it, and it may
// go at the store's time. What is written into it at the very moment goes with it, as with a Result
// that a tool deletes. Errors are ErrConflict, ErrHeld, ErrTooYoung, and Delete's.
func (o *Objects) DeleteTree(ctx context.Context, t *Tree, may func(at time.Time) bool) error {
	name := Name{Kind: Result, Parent: t.Parent, Result: t.Result}
	err := o.unheld(ctx, t.Hash, func(mark string) error {
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

// unchanged fails with ErrConflict if a tree has what was not there when it was read.
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
