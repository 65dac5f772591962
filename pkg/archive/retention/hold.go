package retention

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// HoldText is what the object of a hold says, for people. That it is there is what counts.
type HoldText struct {
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

const maxHold = 64 << 10

// Hold keeps a run from being deleted, until Unhold. When it returns without an error the run is in the archive and stays: if
// retention has just deleted its commit, that is an error, or retention sees the hold and brings the commit back. The error is
// store.ErrExists if it is held already, store.ErrNotExist if it is not in the archive.
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
	commit, err := cluster.Commit(run)
	if err == nil {
		_, err = to.Stat(ctx, commit)
	}
	if errors.Is(err, store.ErrNotExist) {
		err = errors.Join(err, to.Delete(ctx, key))
	}
	if err != nil {
		return fmt.Errorf("hold run %s: %w", run.UID, err)
	}
	return nil
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
