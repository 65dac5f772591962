package archiver

import (
	"context"
	"fmt"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// snapshot reads a run from the API server, nil if it does not exist.
func (a *Archiver) snapshot(ctx context.Context, ref run.Reference) (*run.Run, error) {
	object, err := a.Client.Get(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if object == nil {
		return nil, nil
	}
	return run.Parse(object)
}
