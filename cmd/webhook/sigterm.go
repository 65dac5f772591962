package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/indelible-ci/indelible/pkg/daemon"
)

// SIGTERM ends the context of serve (daemon.Main). The webhook then stops in an order that loses no
// request:
//
//  1. /readyz fails (readiness.go), while it still serves: endpoints lead here until they are
//     updated. This takes as long as --drain.
//  2. The admission server accepts no new requests; those in flight are answered within finish.
//  3. Everything else stops.
//
// If a part fails, steps 2 and 3 follow at once.

// finish bounds how long requests in flight may take after the drain. The longest timeout of our
// webhooks is 10 s.
const finish = 15 * time.Second

// serve runs all parts until ctx ends or one of them fails, and then stops them.
func (w *webhook) serve(ctx context.Context) error {
	w.log.Info("Starting", "version", version, "webhook", w.admission.Address(),
		"metrics", w.metrics.Address(), "health", w.health.Address())
	parts, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	background, stop := context.WithCancel(failed)
	defer stop()
	parts.Go(func() error { return w.configured.Start(background) })
	parts.Go(func() error { return w.certificates.Run(background) })
	parts.Go(func() error { return w.selfcheck.Run(background) })
	parts.Go(func() error { return w.leaks.Run(background) })
	for _, e := range w.endpoints() {
		parts.Go(e.Serve)
	}
	select {
	case <-ctx.Done():
		w.drained(failed)
	case <-failed.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), finish)
	defer cancel()
	err := w.admission.Shutdown(last)
	stop()
	w.close()
	if partial := parts.Wait(); partial != nil {
		return partial
	}
	if err != nil {
		return fmt.Errorf("requests were still in flight after %s: %w", finish, err)
	}
	return nil
}

// drained keeps serving while unready, until endpoints no longer lead here or a part has failed.
func (w *webhook) drained(failed context.Context) {
	w.log.Info("Stopping", "drain", w.drain.String())
	w.ready.stopping.Store(true)
	select {
	case <-time.After(w.drain):
	case <-failed.Done():
	}
}

func (w *webhook) endpoints() []*daemon.Endpoint {
	return []*daemon.Endpoint{w.admission, w.metrics, w.health}
}

// close releases what newWebhook took.
func (w *webhook) close() {
	for _, e := range w.endpoints() {
		e.Close()
	}
	w.cluster.close()
}
