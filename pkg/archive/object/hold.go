package object

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// A hold is on a Result and everything under it. Hold writes the hold and then looks for marks of
// deletions; a deletion writes a mark and then looks for the hold. Whichever is first, at least one
// of them sees the other.

// HoldText is the content of a hold, for people. Only the existence of the object matters.
type HoldText struct {
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

const maxHold = 64 << 10

var (
	// ErrHeld means that the Result is held and cannot be deleted.
	ErrHeld = errors.New("a hold is on the Result")
	// ErrDeleting means that the Result, or something under it, is being deleted, and cannot be held.
	ErrDeleting = errors.New(
		"the Result or a part of it is being deleted, or that was interrupted: try again in some minutes, " +
			"at the latest after a day")
)

// Hold keeps a Result and everything under it from being deleted, by tools and by retention, until
// Unhold. Errors: store.ErrExists if it is already held, ErrNotExist if no tool wrote such a
// Result, ErrDeleting if it is being deleted.
func (o *Objects) Hold(ctx context.Context, parent, result string, text HoldText) error {
	name := Name{Kind: Result, Parent: parent, Result: result}
	if text.Reason == "" || text.At.IsZero() {
		return errors.New("hold: a reason and the time are required")
	}
	data, err := json.Marshal(text)
	if err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	key := o.cluster.ResultHold(name.Tree())
	if err := o.store.Create(ctx, key, bytes.NewReader(append(data, '\n'))); err != nil {
		return fmt.Errorf("hold %s: %w", name, err)
	}
	if err = o.stays(ctx, name); errors.Is(err, ErrNotExist) || errors.Is(err, ErrDeleting) {
		err = errors.Join(err, o.store.Delete(context.WithoutCancel(ctx), key))
	}
	if err != nil {
		return fmt.Errorf("hold %s: %w", name, err)
	}
	return nil
}

// stays returns an error if a Result, which has a hold by now, is being deleted or does not exist.
func (o *Objects) stays(ctx context.Context, name Name) error {
	for _, err := range o.store.List(ctx, o.cluster.ResultDeletionsOf(name.Tree()), "") {
		if err != nil {
			return err
		}
		return ErrDeleting
	}
	h, f, err := o.newest(ctx, name.KeyOf())
	switch {
	case err != nil:
		return err
	case h.Gone, f != nil && f.Deleted:
		return ErrNotExist
	case f != nil:
		return nil
	}
	for _, err := range o.store.List(ctx, o.cluster.Under(name.Tree()), "") {
		return err
	}
	return ErrNotExist
}

// Unhold removes a hold. It is no error if there is none.
func (o *Objects) Unhold(ctx context.Context, parent, result string) error {
	name := Name{Kind: Result, Parent: parent, Result: result}
	if err := o.store.Delete(ctx, o.cluster.ResultHold(name.Tree())); err != nil {
		return fmt.Errorf("unhold %s: %w", name, err)
	}
	return nil
}

// Held returns the hold on a Result, nil if there is none. A hold that cannot be decoded still
// holds.
func (o *Objects) Held(ctx context.Context, parent, result string) (*HoldText, error) {
	name := Name{Kind: Result, Parent: parent, Result: result}
	text, err := o.held(ctx, name.Tree())
	if err != nil {
		return nil, fmt.Errorf("hold on %s: %w", name, err)
	}
	return text, nil
}

func (o *Objects) held(ctx context.Context, tree string) (*HoldText, error) {
	object, err := o.store.Open(ctx, o.cluster.ResultHold(tree))
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(object, maxHold))
	if err = errors.Join(err, object.Close()); err != nil {
		return nil, err
	}
	text := &HoldText{}
	if err := json.Unmarshal(data, text); err != nil {
		text.Reason = "the hold's text is damaged: " + err.Error()
	}
	return text, nil
}

// deleteUnlessHeld marks a tree as being deleted and calls remove, unless the tree is held.
func (o *Objects) deleteUnlessHeld(ctx context.Context, tree string, remove func(mark string) error) (err error) {
	mark, err := o.cluster.ResultDeletion(tree, strings.ToLower(rand.Text()))
	if err != nil {
		return err
	}
	// It may exist even if creating it fails.
	defer func() { err = errors.Join(err, o.store.Delete(context.WithoutCancel(ctx), mark)) }()
	if err := o.try(ctx, mark, nil); err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("mark as being deleted: %w", err)
	}
	text, err := o.held(ctx, tree)
	if err != nil {
		return err
	}
	if text != nil {
		return fmt.Errorf("%w: %s", ErrHeld, text.Reason)
	}
	return remove(mark)
}

// clearMarks deletes the marks of killed processes.
func (o *Objects) clearMarks(ctx context.Context, now time.Time) error {
	for info, err := range o.store.List(ctx, o.cluster.ResultDeletions(), "") {
		if err == nil && now.Sub(info.Modified) > MinGrace {
			err = o.store.Delete(ctx, info.Key)
		}
		if err != nil {
			return fmt.Errorf("delete marks of interrupted deletions: %w", err)
		}
	}
	return nil
}
