package main

import (
	"errors"
	"sync/atomic"
)

// readiness is /readyz: API servers can be answered, and the grant is guarded. The configuration is
// not part of it: without a valid one the process does not start.
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
