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

// Holds are on a Result and all that is under it. Who holds one writes the hold, and then looks for
// marks of deletions; who deletes writes a mark, and then looks for the hold. So one of the two
// sees the other.

// HoldText is what the object of a hold says, for people. That it is there is what counts.
type HoldText struct {
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

const maxHold = 64 << 10

var (
	// ErrHeld is the answer to who deletes what a hold is on.
	ErrHeld = errors.New("a hold is on the Result")
	// ErrDeleting is the error of a hold that comes too late.
	ErrDeleting = errors.New("something of the Result is being deleted just now, or who did so was killed: try again in some minutes, " +
		"and after a day at the latest")
)

// Hold keeps a Result and what is under it from being deleted, by tools and by retention, until
// Unhold. The error is store.ErrExists if it is held already, ErrNotExist if there is no Result
// that a tool wrote, ErrDeleting if it may not stay.
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

// stays says why a Result that has a hold by now may be deleted all the same.
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

// Unhold ends a hold. That there is none is no error.
func (o *Objects) Unhold(ctx context.Context, parent, result string) error {
	name := Name{Kind: Result, Parent: parent, Result: result}
	if err := o.store.Delete(ctx, o.cluster.ResultHold(name.Tree())); err != nil {
		return fmt.Errorf("unhold %s: %w", name, err)
	}
	return nil
}

// Held returns what the hold on a Result says, nil if there is none. One that cannot be read holds
// all the same.
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

// unheld deletes something of a tree, unless that is held.
func (o *Objects) unheld(ctx context.Context, tree string, remove func(mark string) error) (err error) {
	mark, err := o.cluster.ResultDeletion(tree, strings.ToLower(rand.Text()))
	if err != nil {
		return err
	}
	// It may be there also if this fails.
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

// clearMarks takes away the marks of those that were killed.
func (o *Objects) clearMarks(ctx context.Context, now time.Time) error {
	for info, err := range o.store.List(ctx, o.cluster.ResultDeletions(), "") {
		if err == nil && now.Sub(info.Modified) > MinGrace {
			err = o.store.Delete(ctx, info.Key)
		}
		if err != nil {
			return fmt.Errorf("take away marks of deletions that broke off: %w", err)
		}
	}
	return nil
}
