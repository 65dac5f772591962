// Package numbered keeps small documents that change in a store of immutable objects: each version
// is an object with the next number, created only if nobody else has, and the highest number is in
// force.
package numbered

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// maxDocument is the most bytes that a document may have. One that is larger is not written, as
// nobody could read it.
const maxDocument = 16 << 20

// ErrTooLarge is Write's error for a document of more bytes than Read reads. The one before stays
// in force.
var ErrTooLarge = errors.New("it is too large")

// ErrConflict is Write's error if another writer was faster.
var ErrConflict = errors.New("somebody else has written it meanwhile: try again")

// Read decodes the newest document below a prefix of layout into v and returns its number, 0 if
// there is none. If the newest cannot be read, that is an error: older ones are no longer in force.
func Read(ctx context.Context, from store.Store, below string, v any) (int, error) {
	last, key := 0, ""
	for info, err := range from.List(ctx, below, "") {
		if err != nil {
			return 0, fmt.Errorf("list %s: %w", below, err)
		}
		if n, err := layout.ParseNumber(below, info.Key); err == nil {
			last, key = n, info.Key
		}
	}
	if last == 0 {
		return 0, nil
	}
	object, err := from.Open(ctx, key)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", key, err)
	}
	data, err := io.ReadAll(io.LimitReader(object, maxDocument))
	if err = errors.Join(err, object.Close()); err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", key, err)
	}
	return last, nil
}

// Write stores the successor of document n, the number from Read, and then deletes those before n.
// The error is ErrConflict if the successor exists.
func Write(ctx context.Context, to store.Store, below string, n int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	key := layout.Number(below, n+1)
	if len(data) >= maxDocument {
		return fmt.Errorf("write %s: %w: %d bytes", key, ErrTooLarge, len(data))
	}
	if err := to.Create(ctx, key, bytes.NewReader(append(data, '\n'))); err != nil {
		if errors.Is(err, store.ErrExists) {
			err = ErrConflict
		}
		return fmt.Errorf("write %s: %w", key, err)
	}
	for info, err := range to.List(ctx, below, "") {
		if err != nil {
			return fmt.Errorf("list %s: %w", below, err)
		}
		if old, err := layout.ParseNumber(below, info.Key); err == nil && old < n {
			if err := to.Delete(ctx, info.Key); err != nil {
				return fmt.Errorf("delete %s: %w", info.Key, err)
			}
		}
	}
	return nil
}
