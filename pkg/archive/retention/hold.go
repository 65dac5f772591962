package retention

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// HoldText is what the object of a hold says, for people. That it is there is what counts.
type HoldText = object.HoldText

const maxHold = 64 << 10

// ErrDeleting is the error of a hold that comes too late.
var ErrDeleting = errors.New("retention is deleting it just now, or was killed while it did so: try again in some minutes, and after a day at the latest")

// Hold keeps a run from being deleted, until Unhold, and with it all of its tree: what it made, and what made it. When it returns without
// an error the run is in the archive and stays (see deletion). The error is store.ErrExists if it is held already,
// store.ErrNotExist if it is not in the archive, ErrDeleting if it may not stay there.
func Hold(ctx context.Context, to store.Store, cluster layout.Cluster, run layout.Run, text HoldText) error {
	key, err := cluster.Hold(run)
	if err != nil {
		return err
	}
	if text.Reason == "" || text.At.IsZero() {
		return errors.New("hold: a reason and the time are required")
	}
	data, err := json.Marshal(text)
	if err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	if err := to.Create(ctx, key, bytes.NewReader(append(data, '\n'))); err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	if err = stays(ctx, to, cluster, run); errors.Is(err, store.ErrNotExist) || errors.Is(err, ErrDeleting) {
		err = errors.Join(err, to.Delete(context.WithoutCancel(ctx), key))
	}
	if err != nil {
		return fmt.Errorf("hold run %s: %w", run.UID, err)
	}
	return nil
}

// stays says why a run that has a hold by now may be deleted all the same.
func stays(ctx context.Context, from store.Store, cluster layout.Cluster, run layout.Run) error {
	marks, err := cluster.DeletionsOf(run)
	if err != nil {
		return err
	}
	for _, err := range from.List(ctx, marks, "") {
		if err != nil {
			return err
		}
		return ErrDeleting
	}
	commit, err := cluster.Commit(run)
	if err == nil {
		_, err = from.Stat(ctx, commit)
	}
	return err
}

// Unhold ends a hold. That there is none is no error.
func Unhold(ctx context.Context, to store.Store, cluster layout.Cluster, run layout.Run) error {
	key, err := cluster.Hold(run)
	if err == nil {
		err = to.Delete(ctx, key)
	}
	if err != nil {
		return fmt.Errorf("unhold run %s: %w", run.UID, err)
	}
	return nil
}

// Held returns what a run's hold says, nil if it has none. A hold that cannot be read as one holds all the same.
func Held(ctx context.Context, from store.Store, cluster layout.Cluster, run layout.Run) (*HoldText, error) {
	key, err := cluster.Hold(run)
	if err != nil {
		return nil, err
	}
	object, err := from.Open(ctx, key)
	if errors.Is(err, store.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("hold of run %s: %w", run.UID, err)
	}
	data, err := io.ReadAll(io.LimitReader(object, maxHold))
	if err = errors.Join(err, object.Close()); err != nil {
		return nil, fmt.Errorf("hold of run %s: %w", run.UID, err)
	}
	text := &HoldText{}
	if err := json.Unmarshal(data, text); err != nil {
		text.Reason = "the hold's text is damaged: " + err.Error()
	}
	return text, nil
}
