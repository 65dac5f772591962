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
	// pagesFrom is from how many waiting runs of a kind on lists of whole objects pay, if the
	// waiting are at least half of all.
	pagesFrom = 500
	// pageRuns and pageBytes bound a page. Three may be in memory: the current, the previous and
	// the next one.
	pageRuns, pageBytes = 200, 2 << 20
	// pageTimeout bounds the wait for a page; after it, runs are read one by one.
	pageTimeout = 30 * time.Second
	// maxChanged is after how many changed runs pages are given up.
	maxChanged = 10_000
)

type lister func(ctx context.Context, limit int, next string) (page []run.Listed, after string, err error)

// pages gives the runs of a kind's backlog from lists: reading a run by itself costs the API server
// a request to etcd. The queue returns a backlog in the order of namespaces and names, which is
// that of the pages. A run that is not in a page when it is asked for is read by itself.
type pages struct {
	list lister
	// last is the key of the last run of the backlog.
	last string
	// stop ends the listing; listed is true once it has ended. ahead has the next page, and is
	// closed after the last.
	stop   context.CancelFunc
	listed atomic.Bool
	ahead  chan []run.Listed

	mu sync.Mutex
	// have has the runs of the current page, before those of the previous one.
	have, before map[string][]byte
	// cursor is the key of the last run in have.
	cursor string

	// changed has the runs that the watch has shown to change since the first list. It has its own
	// lock, as the watch must not wait for a page.
	changedMu sync.Mutex
	changed   map[string]struct{}
}

// newPages starts listing, up to the run with the key last, or until ctx ends.
func newPages(ctx context.Context, list lister, last string) *pages {
	ctx, stop := context.WithCancel(ctx)
	p := &pages{list: list, last: last, changed: map[string]struct{}{}, ahead: make(chan []run.Listed), stop: stop}
	go p.read(ctx)
	return p
}

// read lists one page ahead. It halves a page that is too large, and continues an expired list with
// the present state, which is no worse. Any other error ends it.
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
		if next = after; next == "" || len(page) > 0 &&
			keyOf(page[len(page)-1].Namespace, page[len(page)-1].Name) >= p.last {
			return
		}
	}
}

func (p *pages) page(ctx context.Context, limit int, next string) ([]run.Listed, string, error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	return p.list(ctx, limit, next)
}

// continueWith returns the token that continues an expired list with the present state, empty if
// there is none.
func continueWith(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsResourceExpired(err) {
		return ""
	}
	return status.Status().Continue
}

// take returns a run's object, once; nil if it is not in a page or may have changed since.
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

// turn makes a page the current one. It is called with mu held.
func (p *pages) turn(to []run.Listed) {
	p.have, p.before = make(map[string][]byte, len(to)), p.have
	for _, l := range to {
		key := keyOf(l.Namespace, l.Name)
		p.have[key] = l.Object
		p.cursor = key
	}
}

// invalidate records that a run has changed.
func (p *pages) invalidate(ref run.Reference) {
	p.changedMu.Lock()
	defer p.changedMu.Unlock()
	if len(p.changed) >= maxChanged {
		p.stop()
		return
	}
	p.changed[keyOf(ref.Namespace, ref.Name)] = struct{}{}
}

// hasChanged reports whether a run may have changed: once maxChanged have, all may.
func (p *pages) hasChanged(key string) bool {
	p.changedMu.Lock()
	defer p.changedMu.Unlock()
	_, changed := p.changed[key]
	return changed || len(p.changed) >= maxChanged
}

// keyOf returns the sort key of a run, as the API server sorts: by key in etcd.
func keyOf(namespace, name string) string { return namespace + "/" + name }
