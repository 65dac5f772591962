package server

import (
	"context"
	"errors"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// maxLists bounds the lists and summaries that are read at a time, and with it what they have in
	// memory. Others wait.
	maxLists = 8
	// maxListsOfOne is how many of them may be one caller's, so that a slow filter is no matter of others.
	maxListsOfOne = 2
)

// gate lets a few lists in at a time.
type gate struct {
	all chan struct{}
	mu  sync.Mutex
	of  map[string]*turns
}

// turns are those of one caller. waiting counts those who are in or want to be, so that the last
// one clears up.
type turns struct {
	in      chan struct{}
	waiting int
}

func newGate() *gate {
	return &gate{all: make(chan struct{}, maxLists), of: map[string]*turns{}}
}

var errTooManyLists = status.Error(codes.ResourceExhausted,
	"too many lists are being read: try again later, or with a narrower filter")

// enter waits for a turn, for as long as the request may take. The caller's own comes first, so
// that nobody waits in the place of others.
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
