package main

import (
	"context"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

const (
	// maintenance is how often the archive is looked after.
	maintenance = time.Hour
	// abandoned is how old a file must be that a writer has left half written: longer than any upload takes.
	abandoned = 24 * time.Hour
)

// maintain looks after the archive, until ctx ends. Nothing of it is urgent: what fails is tried again an hour later.
func (d *daemon) maintain(ctx context.Context, a *archive) {
	for every := time.NewTicker(maintenance); ; {
		if directory, ok := a.store.(*store.Directory); ok {
			if n, err := directory.Sweep(ctx, abandoned, time.Now()); err != nil {
				d.log.Error(err, "Half-written files stay in the archive's directory")
			} else if n > 0 {
				d.log.Info("Half-written files were removed from the archive's directory", "files", n)
			}
		}
		select {
		case <-ctx.Done():
			every.Stop()
			return
		case <-every.C:
		}
	}
}
