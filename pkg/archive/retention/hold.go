package retention

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// HoldText is the content of a hold, for people. Only the existence of the object matters.
type HoldText = object.HoldText

const maxHold = 64 << 10

// ErrDeleting means that the run is being deleted, and cannot be held.
var ErrDeleting = errors.New(
	"retention is deleting it, or was killed while deleting it: try again in some minutes, at the latest after a day")

// Hold keeps a run and its whole tree from being deleted, until Unhold. If it returns nil, the run
// is in the archive and stays (see deletion). Errors: store.ErrExists if the run is already held
// and stays, store.ErrNotExist if it is not in the archive, ErrDeleting if it is being deleted.
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
	created, err := createHold(ctx, to, key, append(data, '\n'))
	if err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("hold: %w", err)
	}
	there := err // ErrExists if there is another's hold
	if err = stays(ctx, to, cluster, run); created &&
		(errors.Is(err, store.ErrNotExist) || errors.Is(err, ErrDeleting)) {
		err = errors.Join(err, to.Delete(context.WithoutCancel(ctx), key))
	}
	if err = cmp.Or(err, there); err != nil {
		return fmt.Errorf("hold run %s: %w", run.UID, err)
	}
	return nil
}

// createHold writes a hold. A hold with the same text is this one, and the store was asked again;
// as it may also be an earlier call's, which has relied on it since, it does not count as created.
// The error is store.ErrExists if there is another one.
func createHold(ctx context.Context, to store.Store, key string, data []byte) (created bool, err error) {
	err = to.Create(ctx, key, bytes.NewReader(data))
	if !errors.Is(err, store.ErrExists) {
		return err == nil, err
	}
	there, readErr := readHold(ctx, to, key)
	switch {
	case errors.Is(readErr, store.ErrNotExist):
		return false, errors.New("another hold was removed meanwhile: try again")
	case readErr != nil:
		return false, readErr
	case bytes.Equal(there, data):
		return false, nil
	}
	return false, err
}

func readHold(ctx context.Context, from store.Store, key string) ([]byte, error) {
	object, err := from.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(object, maxHold))
	return data, errors.Join(err, object.Close())
}

// stays returns an error if the run, which has a hold by now, is being deleted or is not in the
// archive.
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

// Unhold removes a hold. It is no error if there is none.
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

// Held returns a run's hold, nil if it has none. A hold that cannot be decoded still holds.
func Held(ctx context.Context, from store.Store, cluster layout.Cluster, run layout.Run) (*HoldText, error) {
	key, err := cluster.Hold(run)
	if err != nil {
		return nil, err
	}
	data, err := readHold(ctx, from, key)
	if errors.Is(err, store.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("hold of run %s: %w", run.UID, err)
	}
	text := &HoldText{}
	if err := json.Unmarshal(data, text); err != nil {
		text.Reason = "the hold's text is damaged: " + err.Error()
	}
	return text, nil
}
