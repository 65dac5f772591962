package server

import (
	"context"
	"errors"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// maxLists bounds the concurrent lists and summaries, and so their memory. Others wait.
	maxLists = 8
	// maxListsOfOne bounds those of one caller, so that slow filters do not delay others.
	maxListsOfOne = 2
)

// gate bounds concurrent lists.
type gate struct {
	all chan struct{}
	mu  sync.Mutex
	of  map[string]*turns
}

// turns are those of one caller. waiting counts its lists, including those in progress; the last
// one removes the turns.
type turns struct {
	in      chan struct{}
	waiting int
}

func newGate() *gate {
	return &gate{all: make(chan struct{}, maxLists), of: map[string]*turns{}}
}

var errTooManyLists = status.Error(codes.ResourceExhausted,
	"too many lists are being read: try again later, or with a narrower filter")

// enter waits for a turn until the context ends. It waits for one of the caller's own turns first,
// so that it does not take the place of others meanwhile.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	name := caller.Name()
	g.mu.Lock()
	t := g.of[name]
	if t == nil {
		t = &turns{in: make(chan struct{}, maxListsOfOne)}
		g.of[name] = t
	}
	t.waiting++
	g.mu.Unlock()
	done := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if t.waiting--; t.waiting == 0 {
			delete(g.of, name)
		}
	}
	if err := take(ctx, t.in); err != nil {
		done()
		return nil, err
	}
	if err := take(ctx, g.all); err != nil {
		<-t.in
		done()
		return nil, err
	}
	return func() {
		<-g.all
		<-t.in
		done()
	}, nil
}

func take(ctx context.Context, turn chan<- struct{}) error {
	select {
	case turn <- struct{}{}:
		return nil
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errTooManyLists
	}
	return ctx.Err()
}
