package object

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Objects reads and writes what tools write, in one cluster's archive. Methods may be called
// concurrently, also by several processes on the same archive. Writers must have checked that the
// archive belongs to their cluster (pkg/archive/identity). Errors are those of this package, or of
// the store: then it is unknown what was written.
type Objects struct {
	store   store.Store
	cluster layout.Cluster
	now     func() time.Time
	states  states
}

// New returns the Objects of a cluster.
func New(s store.Store, cluster layout.Cluster, now func() time.Time) *Objects {
	return &Objects{store: s, cluster: cluster, now: now}
}

// Get returns the newest generation, or ErrNotExist.
func (o *Objects) Get(ctx context.Context, name Name) (Object, error) {
	_, f, err := o.find(ctx, name)
	if err == nil && f == nil {
		err = ErrNotExist
	}
	if err != nil {
		return Object{}, fmt.Errorf("get %s: %w", name, err)
	}
	return f.Object, nil
}

// find returns the newest generation of a name, nil if there is none or it is a tombstone. The head
// is that of the name, and has at least the epoch. The error is ErrNotExist if the Result of a
// Record or Log is deleted.
func (o *Objects) find(ctx context.Context, name Name) (head, *file, error) {
	if err := name.Check(); err != nil {
		return head{}, nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	k := name.KeyOf()
	if name.Kind != Result {
		var err error
		if k.Epoch, err = o.epoch(ctx, name); err != nil {
			return head{}, nil, err
		}
	}
	h, f, err := o.newest(ctx, k)
	if err != nil {
		return head{}, nil, err
	}
	if h.none() {
		h.ObjectKey = k
	}
	if f == nil {
		return h, nil, nil
	}
	if f.Name() != name {
		return head{}, nil, fmt.Errorf("%w: it is of %s", ErrDamaged, f.Name())
	}
	if f.Deleted {
		return h, nil, nil
	}
	h.live = true
	return h, f, nil
}

// Create creates an object. It returns ErrExists if it exists. UID, Created and Updated are set if
// they are zero. A Record or Log does not need an object for its Result, which may consist of
// archived runs; but if the Result was deleted, the error is ErrNotExist.
func (o *Objects) Create(ctx context.Context, object Object) (Object, error) {
	if object.UID == "" {
		object.UID = uuid.NewString()
	}
	if object.Created.IsZero() {
		object.Created = o.now()
	}
	if object.Updated.IsZero() {
		object.Updated = object.Created
	}
	object.Deleted = false
	if err := object.prepare(); err != nil {
		return Object{}, fmt.Errorf("create %s: %w", object.Name(), err)
	}
	created, err := o.create(ctx, object)
	if err != nil {
		return Object{}, fmt.Errorf("create %s: %w", object.Name(), err)
	}
	return created, nil
}

func (o *Objects) create(ctx context.Context, object Object) (Object, error) {
	for range maxLooks {
		began := o.now()
		h, current, err := o.find(ctx, object.Name())
		if err != nil {
			return Object{}, err
		}
		if current != nil {
			return Object{}, ErrExists
		}
		k := h.next()
		if object.Kind == Result && !h.none() { // after a tombstone
			if err := o.finishDeletion(ctx, h, began); err != nil {
				return Object{}, err
			}
			k.Epoch, k.Number = h.Epoch+1, 1
		}
		object.Generation = k.Generation()
		written, err := o.put(ctx, object, h, began)
		if !errors.Is(err, ErrConflict) {
			return written, err
		}
	}
	return Object{}, errMoved
}

// next returns the key of the generation after a head.
func (h *head) next() layout.ObjectKey {
	k := h.ObjectKey
	k.Gone = false
	k.Number++
	return k
}

// Update writes the next generation of an object. Generation and UID must be as read; Created is
// kept and Updated set. The error is ErrConflict if Generation is not the newest, ErrNotExist if
// the object does not exist.
func (o *Objects) Update(ctx context.Context, object Object) (Object, error) {
	object.Updated, object.Deleted = o.now(), false
	err := object.prepare()
	var updated Object
	if err == nil {
		updated, err = o.update(ctx, object)
	}
	if err != nil {
		return Object{}, fmt.Errorf("update %s: %w", object.Name(), err)
	}
	return updated, nil
}

func (o *Objects) update(ctx context.Context, object Object) (Object, error) {
	began := o.now()
	h, current, err := o.find(ctx, object.Name())
	switch {
	case err != nil:
		return Object{}, err
	case current == nil:
		return Object{}, ErrNotExist
	case current.Generation != object.Generation || object.UID != "" && object.UID != current.UID:
		return Object{}, ErrConflict
	}
	return o.put(ctx, current.succeededBy(object), h, began)
}

// succeededBy returns the next generation of an object, with the fields that are kept.
func (f *file) succeededBy(next Object) Object {
	next.UID, next.Created, next.Unknown = f.UID, f.Created, f.Unknown
	if !next.Updated.After(f.Updated) {
		next.Updated = f.Updated.Add(time.Microsecond) // lists are sorted by it
	}
	next.Generation = f.Generation + 1
	return next
}

// Delete writes a tombstone. generation is the one to delete; 0 is the newest, whichever it is.
// Deleting a Result deletes its Records and Logs: they disappear immediately and are then removed
// from the store. That also works for a Result that has no object. The error is ErrHeld if the
// Result is held.
//
// The tombstone decides. If the process is killed after writing it, Sweep deletes the rest.
func (o *Objects) Delete(ctx context.Context, name Name, generation int64) error {
	err := name.Check()
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrInvalid, err)
	} else {
		err = o.deleteUnlessHeld(ctx, name.Tree(), func(string) error { return o.delete(ctx, name, generation) })
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}

func (o *Objects) delete(ctx context.Context, name Name, generation int64) error {
	for range maxLooks {
		began := o.now()
		h, current, err := o.find(ctx, name)
		if err != nil {
			return err
		}
		if current == nil {
			current, err = o.implicitResult(ctx, name, h, began)
			if err != nil {
				return err
			}
		}
		if generation != 0 && generation != current.Generation {
			return ErrConflict
		}
		tombstone := current.succeededBy(Object{
			Kind: name.Kind, Parent: name.Parent, Result: name.Result, ID: name.ID, Updated: micro(o.now()),
			Deleted: true,
		})
		written, err := o.put(ctx, tombstone, h, began)
		if errors.Is(err, ErrConflict) && generation == 0 {
			continue
		}
		if err != nil {
			return err
		}
		h.ObjectKey, h.at = written.key(), written.Key
		return o.finishDeletion(ctx, h, began)
	}
	return errMoved
}

// implicitResult returns what to delete if a name has no live generation: for a Result without an
// object, a placeholder if something is under it, else ErrNotExist.
func (o *Objects) implicitResult(ctx context.Context, name Name, h head, began time.Time) (*file, error) {
	if !h.none() {
		return nil, errors.Join(ErrNotExist, o.finishDeletion(ctx, h, began)) // the deletion may have been interrupted
	}
	if name.Kind != Result {
		return nil, ErrNotExist
	}
	for _, err := range o.store.List(ctx, o.cluster.Under(h.Tree), "") {
		if err != nil {
			return nil, err
		}
		now := micro(o.now())
		return &file{Object: Object{UID: uuid.NewString(), Created: now, Generation: h.Generation()}}, nil
	}
	return nil, ErrNotExist
}

// finishDeletion does what follows a tombstone: it deletes what is under a Result, and marks the
// tombstone, so that a listing shows it. A writer that took hours leaves the mark to others: the
// key may be that of another generation by now.
func (o *Objects) finishDeletion(ctx context.Context, h head, began time.Time) error {
	if h.Kind == Result {
		if err := o.purge(ctx, h.ObjectKey); err != nil {
			return err
		}
	}
	if o.took(began) > hopeless {
		return nil
	}
	return o.mark(ctx, h.ObjectKey)
}
