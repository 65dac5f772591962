package main

import (
	"errors"
	"sync"

	"github.com/indelible-ci/indelible/pkg/archive/query/server"
)

// readiness is the state that /readyz reports.
type readiness struct {
	mu     sync.Mutex
	why    error
	server *server.Server
}

var errStarting = errors.New("starting")

func (r *readiness) check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.server != nil:
		return r.server.Ready()
	case r.why != nil:
		return r.why
	}
	return errStarting
}

func (r *readiness) not(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.why = why
}

func (r *readiness) of(s *server.Server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.server = s
}
