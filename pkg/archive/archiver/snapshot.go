package archiver

import (
	"context"
	"fmt"
)

// snapshot reads a run from the API server, nil if it is gone.
func (a *Archiver) snapshot(ctx context.Context, ref Reference) (*run, error) {
	object, err := a.client.get(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if object == nil {
		return nil, nil
	}
	return parse(object)
}
