package controller

import (
	"context"
	"sync"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/observed"
)

// maxDeleted is the most bytes of deleted runs that wait to be archived.
const maxDeleted = 24 << 20

// deletedRuns has runs that were deleted before they were protected, in their last state from the
// watch. This process has the only copy. With the webhook in place this is rare.
type deletedRuns struct {
	controller *Controller
	mu         sync.Mutex
	objects    [][]byte
	bytes      int
	more       chan struct{}
}

func newDeletedRuns(c *Controller) *deletedRuns {
	return &deletedRuns{controller: c, more: make(chan struct{}, 1)}
}

// keep adds a run if there is room, else it is lost.
func (d *deletedRuns) keep(s *observed.Run) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.Object == nil || d.bytes+len(s.Object) > maxDeleted {
		d.controller.Metrics.Lost.Inc()
		d.controller.Log.Info("A run was deleted before it could be protected, and is lost to the archive", "run",
			s.Reference().String())
		return
	}
	d.objects, d.bytes = append(d.objects, s.Object), d.bytes+len(s.Object)
	select {
	case d.more <- struct{}{}:
	default:
	}
}

func (d *deletedRuns) next() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.objects) == 0 {
		return nil
	}
	return d.objects[0]
}

func (d *deletedRuns) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bytes -= len(d.objects[0])
	d.objects = d.objects[1:]
}

// rotate moves the first run behind the others.
func (d *deletedRuns) rotate() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.objects = append(d.objects[1:], d.objects[0])
}

// run archives deleted runs one by one until ctx ends.
func (d *deletedRuns) run(ctx context.Context) {
	for {
		object := d.next()
		if object == nil {
			select {
			case <-d.more:
				continue
			case <-ctx.Done():
				return
			}
		}
		err := d.controller.ArchiveDeleted(ctx, object)
		switch {
		case err == nil:
			d.drop()
			continue
		case archiver.PhaseOf(err) == "snapshot":
			d.drop()
			d.controller.Metrics.Lost.Inc()
			d.controller.Log.Error(err, "A deleted run cannot be parsed, and is lost to the archive")
			continue
		}
		d.rotate() // the others need not wait for this one
		d.controller.Metrics.Failures.WithLabelValues(archiver.PhaseOf(err)).Inc()
		d.controller.Log.Error(err, "A deleted run is not archived yet: it is kept in memory and tried again")
		select {
		case <-time.After(lastRetry / 10):
		case <-ctx.Done():
			return
		}
	}
}
