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

// Objects reads and writes the second class of objects of one cluster. Methods may be called
// concurrently, also by several processes on the same place. Who writes must have found that the
// archive is its cluster's (pkg/archive/identity). Errors are this package's, or the store's, after
// which nothing is known.
type Objects struct {
	store   store.Store
	cluster layout.Cluster
	now     func() time.Time
	states  states
}

// New returns the objects of a cluster.
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
// is where it is, and has the epoch in any case. The error is ErrNotExist for what is under a
// Result that is deleted.
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

// Create writes an object where there is none, or ErrExists. UID, Created and Updated are given
// where they are zero. A Record or Log needs no object of its Result, which archived runs may make;
// but where the Result was deleted, the error is ErrNotExist.
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
		h, there, err := o.find(ctx, object.Name())
		if err != nil {
			return Object{}, err
		}
		if there != nil {
			return Object{}, ErrExists
		}
		k := h.next()
		if object.Kind == Result && !h.none() { // behind a tombstone
			if err := o.buried(ctx, h, began); err != nil {
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

// next is the key of the generation that comes after a head.
func (h *head) next() layout.ObjectKey {
	k := h.ObjectKey
	k.Gone = false
	k.Number++
	return k
}

// Update writes the next generation of an object, which has the Generation and UID that it was read
// with. Created is kept, Updated is now. The error is ErrConflict if that generation is not the
// newest, ErrNotExist if there is nothing.
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
	h, there, err := o.find(ctx, object.Name())
	switch {
	case err != nil:
		return Object{}, err
	case there == nil:
		return Object{}, ErrNotExist
	case there.Generation != object.Generation || object.UID != "" && object.UID != there.UID:
		return Object{}, ErrConflict
	}
	return o.put(ctx, there.succeededBy(object), h, began)
}

// succeededBy returns the next state of an object, with what of it is kept. Its generation is that
// of the state before.
func (f *file) succeededBy(next Object) Object {
	next.UID, next.Created, next.Unknown = f.UID, f.Created, f.Unknown
	if !next.Updated.After(f.Updated) {
		next.Updated = f.Updated.Add(time.Microsecond) // lists are sorted by it
	}
	next.Generation = f.Generation + 1
	return next
}

// Delete writes a tombstone. generation is the one to be deleted; 0 is whichever is the newest. A
// Result's Records and Logs are deleted with it, at once for all who look, and then from the store;
// it may be none but what is under it. The error is ErrHeld where a hold is on the Result.
//
// The tombstone is what counts. Killed after it, what is left means nothing, and Sweep deletes it.
func (o *Objects) Delete(ctx context.Context, name Name, generation int64) error {
	err := name.Check()
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrInvalid, err)
	} else {
		err = o.unheld(ctx, name.Tree(), func(string) error { return o.delete(ctx, name, generation) })
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}

func (o *Objects) delete(ctx context.Context, name Name, generation int64) error {
	for range maxLooks {
		began := o.now()
		h, there, err := o.find(ctx, name)
		if err != nil {
			return err
		}
		if there == nil {
			there, err = o.nothing(ctx, name, h, began)
			if err != nil {
				return err
			}
		}
		if generation != 0 && generation != there.Generation {
			return ErrConflict
		}
		tombstone := there.succeededBy(Object{
			Kind: name.Kind, Parent: name.Parent, Result: name.Result, ID: name.ID, Updated: micro(o.now()), Deleted: true,
		})
		written, err := o.put(ctx, tombstone, h, began)
		if errors.Is(err, ErrConflict) && generation == 0 {
			continue
		}
		if err != nil {
			return err
		}
		h.ObjectKey, h.at = written.key(), written.Key
		return o.buried(ctx, h, began)
	}
	return errMoved
}

// nothing says what is deleted where a name has nothing: of a Result what is under it, if anything
// is.
func (o *Objects) nothing(ctx context.Context, name Name, h head, began time.Time) (*file, error) {
	if !h.none() {
		return nil, errors.Join(ErrNotExist, o.buried(ctx, h, began)) // who deleted it may have been killed before that
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

// buried does what follows a tombstone: what is under it goes, and a mark says for those who only
// list that it is one. Who slept for hours since it saw it leaves that to others: the generation
// may be another one's by now.
func (o *Objects) buried(ctx context.Context, h head, began time.Time) error {
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
