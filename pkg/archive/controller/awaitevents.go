package controller

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// eventsPatience is how long nothing is archived after a start while the cluster's events are not
// known. Runs that are archived earlier lack theirs, but an API server that lists no events must
// not keep all runs from the archive. API servers keep events for an hour.
const eventsPatience = 5 * time.Minute

// ErrAwaitsEvents says that nothing is archived yet.
var ErrAwaitsEvents = fmt.Errorf("the cluster's events are not known yet: nothing is archived, for at most %s",
	eventsPatience)

// Working is closed when runs begin to be archived. Until then ErrAwaitsEvents is true.
func (c *Controller) Working() <-chan struct{} { return c.working }

// awaitEvents returns when the cluster's events are known, or ctx has ended, or eventsPatience is
// over: then runs are archived without events, which their commits say, until they are known.
func (c *Controller) awaitEvents(ctx context.Context) {
	c.Metrics.AwaitsEvents.Set(1)
	defer c.Metrics.AwaitsEvents.Set(0)
	known := c.Recent.Await(ctx, c.eventsPatience)
	if ctx.Err() != nil {
		return
	}
	if !known {
		c.Log.Error(errors.New("the cluster's events cannot be read"),
			"Runs are archived without their events until they can", "waited", c.eventsPatience.String())
	}
	close(c.working)
}
