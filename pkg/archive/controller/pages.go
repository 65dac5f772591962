package controller

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

const (
	// pagesFrom is how many runs of a kind have to wait at the start for lists of whole objects to pay, if they are half of those there are.
	pagesFrom = 500
	// pageRuns and pageBytes bound a page. Three may be in memory: one that is used, the one before, and the next.
	pageRuns, pageBytes = 200, 2 << 20
)

// pages gives the runs of a backlog, of one kind, from lists: to read one by itself costs an API server several times as much. The queue gives
// a backlog's runs in the order of namespaces and names, as the pages have them. What is not in a page when it is
// asked for, for whatever reason, is to be read by itself.
type pages struct {
	list func(ctx context.Context, limit int, next string) ([]run.Listed, string, error)

	mu sync.Mutex
	// have are the runs of the page that was listed last, before those of the one before that.
	have, before map[string][]byte
	// cursor is the last run of all that were listed.
	cursor string
	// changed are runs of which the watch has shown a change since the first list.
	changed map[string]struct{}
	// ahead gives the page that comes next, and is closed when there is none.
	ahead chan []run.Listed
	// stop ends the listing, listed says that it has ended.
	stop   context.CancelFunc
	listed atomic.Bool
}

// pays says whether that many runs wait that lists are better.
func pays(all []*observed.Run, wanted func(*observed.Run) bool) bool {
	n := 0
	for _, s := range all {
		if wanted(s) {
			n++
		}
	}
	return n >= pagesFrom && 2*n >= len(all)
}

// newPages begins to list, until ctx ends.
func newPages(ctx context.Context, list func(ctx context.Context, limit int, next string) ([]run.Listed, string, error)) *pages {
	ctx, stop := context.WithCancel(ctx)
	p := &pages{list: list, changed: map[string]struct{}{}, ahead: make(chan []run.Listed), stop: stop}
	go p.read(ctx)
	return p
}

// read lists one page ahead of what is used. An error ends it.
func (p *pages) read(ctx context.Context) {
	defer p.listed.Store(true)
	defer close(p.ahead)
	limit, next := pageRuns, ""
	for {
		runs, after, err := p.list(ctx, limit, next)
		if errors.Is(err, run.ErrPageTooLarge) && limit > 1 {
			limit /= 2
			continue
		}
		if err != nil {
			return
		}
		select {
		case p.ahead <- runs:
		case <-ctx.Done():
			return
		}
		if next = after; next == "" {
			return
		}
	}
}

// take returns a run's object, once; nil if it is not in a page, or may have changed since.
func (p *pages) take(ref run.Reference) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := keyOf(ref.Namespace, ref.Name)
	for {
		for _, of := range []map[string][]byte{p.have, p.before} {
			if object, ok := of[key]; ok {
				delete(of, key)
				if _, changed := p.changed[key]; changed {
					return nil
				}
				return object
			}
		}
		if key <= p.cursor {
			return nil
		}
		next, ok := <-p.ahead
		if !ok {
			return nil
		}
		p.turn(next)
	}
}

// turn is called with mu held.
func (p *pages) turn(to []run.Listed) {
	p.have, p.before = make(map[string][]byte, len(to)), p.have
	for _, l := range to {
		key := keyOf(l.Namespace, l.Name)
		p.have[key] = l.Object
		p.cursor = key
	}
}

// saw notes that a run has changed.
func (p *pages) saw(ref run.Reference) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed[keyOf(ref.Namespace, ref.Name)] = struct{}{}
}

// keyOf sorts as the API server does, which has objects below their keys in etcd.
func keyOf(namespace, name string) string { return namespace + "/" + name }
