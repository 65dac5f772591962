package main

import (
	"errors"
	"sync/atomic"
)

// readiness is what /readyz says: that API servers can be answered, and that the grant is guarded. The configuration needs no place
// in it: without one the process does not start.
type readiness struct {
	certificate func() error
	guarded     func() error // the self-check's
	stopping    atomic.Bool
}

func (r *readiness) check() error {
	if r.stopping.Load() {
		return errors.New("stopping")
	}
	return errors.Join(r.certificate(), r.guarded())
}
