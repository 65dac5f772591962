package controller

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

const (
	// pagesFrom is how many runs of a kind have to wait at the start for lists of whole objects to
	// pay, if they are half of those there are.
	pagesFrom = 500
	// pageRuns and pageBytes bound a page. Three may be in memory: one that is used, the one
	// before, and the next.
	pageRuns, pageBytes = 200, 2 << 20
	// pageTimeout is how long a page may take. Who waits for it can read a run by itself.
	pageTimeout = 30 * time.Second
	// maxChanged is how many runs may change before pages are given up: they would be read by
	// themselves anyway.
	maxChanged = 10_000
)

type lister func(ctx context.Context, limit int, next string) (page []run.Listed, after string, err error)

// pages gives the runs of a backlog, of one kind, from lists: to read one by itself costs an API
// server a look into etcd. The queue gives a backlog's runs in the order of namespaces and names,
// as the pages have them. What is not in a page when it is asked for, for whatever reason, is to be
// read by itself.
type pages struct {
	list lister
	// last is the key of the last run that is wanted.
	last string
	// stop ends the listing, listed says that it has ended. ahead gives the page that comes next,
	// and is closed when there is none.
	stop   context.CancelFunc
	listed atomic.Bool
	ahead  chan []run.Listed

	mu sync.Mutex
	// have are the runs of the page that was listed last, before those of the one before that.
	have, before map[string][]byte
	// cursor is the last run of all that were listed.
	cursor string

	// changed are runs of which the watch has shown a change since the first list. Its lock is its
	// own: the watch must not wait for a page.
	changedMu sync.Mutex
	changed   map[string]struct{}
}

// newPages begins to list, until the run with the key last, or ctx ends.
func newPages(ctx context.Context, list lister, last string) *pages {
	ctx, stop := context.WithCancel(ctx)
	p := &pages{list: list, last: last, changed: map[string]struct{}{}, ahead: make(chan []run.Listed), stop: stop}
	go p.read(ctx)
	return p
}

// read lists one page ahead of what is used. An error ends it, but for that a page is too large, or
// the list so old that the API server has forgotten it: then it offers to go on with what there is
// now, which is no worse.
func (p *pages) read(ctx context.Context) {
	defer p.stop()
	defer p.listed.Store(true)
	defer close(p.ahead)
	for limit, next := pageRuns, ""; ; {
		page, after, err := p.page(ctx, limit, next)
		switch again := continueWith(err); {
		case errors.Is(err, run.ErrPageTooLarge) && limit > 1:
			limit /= 2
			continue
		case again != "" && again != next:
			next = again
			continue
		case err != nil:
			return
		}
		select {
		case p.ahead <- page:
		case <-ctx.Done():
			return
		}
		limit = min(2*limit, pageRuns)
		if next = after; next == "" || len(page) > 0 && keyOf(page[len(page)-1].Namespace, page[len(page)-1].Name) >= p.last {
			return
		}
	}
}

func (p *pages) page(ctx context.Context, limit int, next string) ([]run.Listed, string, error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	return p.list(ctx, limit, next)
}

// continueWith returns what goes on with a list that is too old, empty if nothing does.
func continueWith(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsResourceExpired(err) {
		return ""
	}
	return status.Status().Continue
}

// take returns a run's object, once; nil if it is not in a page, or may have changed since.
func (p *pages) take(ref run.Reference) []byte {
	key := keyOf(ref.Namespace, ref.Name)
	if object := p.find(key); object != nil && !p.hasChanged(key) {
		return object
	}
	return nil
}

func (p *pages) find(key string) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for _, of := range []map[string][]byte{p.have, p.before} {
			if object, ok := of[key]; ok {
				delete(of, key)
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
	p.changedMu.Lock()
	defer p.changedMu.Unlock()
	if len(p.changed) >= maxChanged {
		p.stop()
		return
	}
	p.changed[keyOf(ref.Namespace, ref.Name)] = struct{}{}
}

// hasChanged is true for all when so many have that they are not counted any more.
func (p *pages) hasChanged(key string) bool {
	p.changedMu.Lock()
	defer p.changedMu.Unlock()
	_, changed := p.changed[key]
	return changed || len(p.changed) >= maxChanged
}

// keyOf sorts as the API server does, which has objects below their keys in etcd.
func keyOf(namespace, name string) string { return namespace + "/" + name }
