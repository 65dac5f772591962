package object

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// A generation belongs to the writer that creates its key. But old generations are deleted, because
// a Record written a hundred times would otherwise be a hundred objects. Then the key of a deleted
// generation could be created again: by a writer that read generation 4 and slept until 5 to 7 were
// written and 5 was deleted. It would wrongly believe that it had won.
//
// So a generation is deleted only if its successor has a successor, and it is older than its
// successor by Kept, by the store's clock. A writer that took longer than prompt checks again, and
// has lost if there are two generations after its own. Clocks need not agree: a writer measures a
// duration, and deletion compares two times of the store.
//
// Sweep deletes tombstones, after which the first generation is number 1 again: of two creators,
// one may have seen the last tombstone and the other nothing. So a writer that writes after a
// tombstone always checks again, and gives way if the tombstone no longer exists. While it exists,
// no other creator can have seen nothing.
const (
	// Kept is how long a generation with successors is kept.
	Kept = time.Minute
	// prompt is how long a writer may take without checking again.
	prompt = Kept / 2
	// hopeless is how long a writer may take at all; much less than a tombstone is kept.
	hopeless = MinGrace / 3
	// maxPruned is how many old generations one writer deletes; Sweep deletes the rest.
	maxPruned = 16
)

// attempts is the number of times that a write with an unknown result is tried.
const attempts = 3

// put writes the generation after a head, and verifies it. The error is ErrConflict if another
// writer has written that generation.
func (o *Objects) put(ctx context.Context, object Object, h head, began time.Time) (Object, error) {
	data, err := o.encode(&object, strings.ToLower(rand.Text()))
	if err != nil {
		return Object{}, err
	}
	key, err := o.cluster.Object(object.key())
	if err != nil {
		return Object{}, err
	}
	if err := o.win(ctx, key, data); err != nil {
		return Object{}, err
	}
	if err := o.stillWon(ctx, key, object.key(), h, began); err != nil {
		return Object{}, err
	}
	o.states.put(key, object.Deleted)
	o.prune(ctx, h)
	object.Key = key
	return object, nil
}

// win creates a key, or finds out that it already has: a response may be lost, and the writer in
// the data tells whose object it is.
func (o *Objects) win(ctx context.Context, key string, data []byte) error {
	err := o.try(ctx, key, data)
	if err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("write: %w", err)
	}
	stored, readErr := o.readAll(ctx, key)
	switch {
	case readErr == nil && bytes.Equal(stored, data):
		return nil
	case err != nil && readErr == nil, missing(readErr): // it may have been deleted with its Result
		return ErrConflict
	case readErr != nil:
		return fmt.Errorf("read back: %w", readErr)
	}
	return fmt.Errorf("%w: %d bytes came back, not the %d that were sent", ErrDamaged, len(stored), len(data))
}

// try creates a key. It tries again while the result is unknown.
func (o *Objects) try(ctx context.Context, key string, data []byte) error {
	var err error
	for range attempts {
		err = o.store.Create(ctx, key, bytes.NewReader(data))
		if err == nil || errors.Is(err, store.ErrExists) || ctx.Err() != nil {
			break
		}
	}
	return err
}

// stillWon checks again if necessary (see above).
func (o *Objects) stillWon(ctx context.Context, key string, k layout.ObjectKey, before head, began time.Time) error {
	took := o.took(began)
	if took > hopeless { // its predecessor may no longer exist
		return o.giveWay(ctx, key)
	}
	behind := !before.live && !before.none() // a tombstone
	if took <= prompt && !behind {
		return nil
	}
	now, err := o.head(ctx, k)
	switch {
	case err != nil:
		return fmt.Errorf("look again: %w", err)
	case behind && !slices.ContainsFunc(now.older, before.isAt):
		return o.giveWay(ctx, key)
	case now.Generation() > k.Generation()+1:
		return ErrConflict
	}
	return nil
}

// isAt reports whether a stored object is the head's.
func (h *head) isAt(info store.Info) bool {
	return h.at == info.Key && h.info.Modified.Equal(info.Modified)
}

func (o *Objects) giveWay(ctx context.Context, key string) error {
	return errors.Join(ErrConflict, o.store.Delete(context.WithoutCancel(ctx), key))
}

// took returns the time since began, including time that the machine slept, which monotonic clocks
// do not count.
func (o *Objects) took(began time.Time) time.Duration {
	now := o.now()
	return max(now.Sub(began), now.Round(0).Sub(began.Round(0)))
}

// prune deletes old generations before the head, which has a successor now. Errors are ignored:
// Sweep deletes the rest.
func (o *Objects) prune(ctx context.Context, h head) {
	for i, old := range h.older {
		if i == maxPruned || h.info.Modified.Sub(old.Modified) < Kept {
			return
		}
		_ = o.store.Delete(ctx, old.Key)
	}
}

// mark marks a generation as a tombstone.
func (o *Objects) mark(ctx context.Context, k layout.ObjectKey) error {
	k.Gone = true
	key, err := o.cluster.Object(k)
	if err != nil {
		return err
	}
	if err := o.try(ctx, key, nil); err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("mark as deleted: %w", err)
	}
	return nil
}

// deleters is the number of objects that are deleted concurrently.
const deleters = 16

// purge deletes what is under a deleted Result, up to its epoch. It is invisible already, even if
// this fails.
func (o *Objects) purge(ctx context.Context, result layout.ObjectKey) error {
	group, groupContext := errgroup.WithContext(ctx)
	group.SetLimit(deleters)
	for _, below := range []string{o.cluster.Under(result.Tree), o.cluster.ContentsOf(result.Tree)} {
		for info, err := range o.store.List(ctx, below, "") {
			if err != nil {
				return errors.Join(fmt.Errorf("delete what is under a result: %w", err), group.Wait())
			}
			if k, ok := parse(info.Key); ok && k.Epoch <= result.Epoch {
				group.Go(func() error { return o.store.Delete(groupContext, info.Key) })
			}
		}
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("delete what is under a result: %w", err)
	}
	return nil
}

// parse parses the key of a generation or of a content.
func parse(key string) (layout.ObjectKey, bool) {
	_, k, err := layout.ParseObject(key)
	if err != nil {
		_, k, _, err = layout.ParseContent(key)
	}
	return k, err == nil
}
