package retention

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/catalogue"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// The index may lack a run that is archived: it could not be reached at the commit, or refused the
// run. Such a run may be held, so a tree is kept that may have one. A PipelineRun's runs are
// created between its creation and its completion: in these hours, commits are compared with the
// index, once in each Apply.

// longestRun is how long after a PipelineRun's creation its runs are looked for.
const longestRun = 31 * 24 * time.Hour

// rowless is a commit that the index does not have.
type rowless struct {
	uid string
	// parent is the UID of the PipelineRun that created the run. It means nothing if unreadable.
	parent     string
	unreadable bool
}

// hours remembers what was found in hours.
type hours struct {
	mu    sync.Mutex
	found map[time.Time]func() ([]rowless, error)
}

// lacking returns why a tree is kept: the archive has a run of it that the index does not have, or
// a run that cannot be read and may be one. "" is no such run.
func (a *application) lacking(ctx context.Context, t *tree, members []*member) (string, error) {
	root := t.members[0]
	if root.parent != "" { // the index does not have what made it
		from := root.id.Created.Add(-longestRun)
		found, err := a.findIn(ctx, from, root.id.Created, func(r *rowless) bool { return r.uid == root.parent })
		if err != nil || found != "" {
			return found, err
		}
	}
	for _, m := range members {
		run := &m.row.Run
		if run.Kind != pipelineRun {
			continue
		}
		end := m.row.CommittedAt
		if run.Completed != nil {
			end = *run.Completed
		}
		for _, limit := range []time.Time{run.Created.Add(longestRun), a.Now} {
			if end.After(limit) {
				end = limit
			}
		}
		missing := m.missing(t)
		found, err := a.findIn(ctx, run.Created, end, func(r *rowless) bool {
			return r.parent == m.id.UID || r.unreadable && missing
		})
		if err != nil || found != "" {
			return found, err
		}
	}
	return "", nil
}

// findIn looks for a run in all hours from one time to another, and says so if there is one.
func (a *application) findIn(ctx context.Context, from, to time.Time, is func(*rowless) bool) (string, error) {
	for at := from.UTC().Truncate(time.Hour); !at.After(to); at = at.Add(time.Hour) {
		found, err := a.rowlessIn(ctx, at)
		if err != nil {
			return "", err
		}
		for i := range found {
			if is(&found[i]) {
				return fmt.Sprintf("run %s is not in the index, and belongs to it or may do so", found[i].uid), nil
			}
		}
	}
	return "", nil
}

// missing reports whether a PipelineRun says that it created a run that the tree does not have.
func (m *member) missing(t *tree) bool {
	if t.names == nil {
		t.names = make(map[childReference]bool, len(t.members))
		for _, other := range t.members {
			t.names[childReference{other.row.Run.Kind, other.row.Run.Name}] = true
		}
	}
	return slices.ContainsFunc(m.children, func(child childReference) bool { return !t.names[child] })
}

// rowlessIn returns the commits of an hour that the index does not have. Concurrent callers wait
// for the first.
func (a *application) rowlessIn(ctx context.Context, hour time.Time) ([]rowless, error) {
	a.hours.mu.Lock()
	find := a.hours.found[hour]
	if find == nil {
		find = sync.OnceValues(func() ([]rowless, error) { return a.findRowless(ctx, hour) })
		a.hours.found[hour] = find
	}
	a.hours.mu.Unlock()
	return find()
}

// findRowless lists commits before rows: a run that is archived meanwhile has both.
func (a *application) findRowless(ctx context.Context, hour time.Time) ([]rowless, error) {
	var keys []string
	for info, err := range a.Store.List(ctx, a.Cluster.CommitsIn(hour), "") {
		if err != nil {
			return nil, fmt.Errorf("compare commits with the index: %w", err)
		}
		if _, _, err := layout.ParseCommit(info.Key); err == nil {
			keys = append(keys, info.Key)
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	before, err := a.Cluster.Commit(layout.Run{Created: hour.Add(-time.Second), UID: strings.Repeat("z", 64)})
	if err != nil {
		return nil, err
	}
	next, stop := iter.Pull2(a.Index.Keys(ctx, string(a.Cluster), before))
	defer stop()
	var found []rowless
	row, err, more := next()
	for _, key := range keys {
		for more && err == nil && row < key {
			row, err, more = next()
		}
		if err != nil {
			return nil, fmt.Errorf("compare commits with the index: %w", err)
		}
		if more && row == key {
			continue
		}
		r, err := a.rowless(ctx, key)
		if err != nil {
			return nil, err
		}
		if r != nil {
			found = append(found, *r)
		}
	}
	return found, nil
}

// rowless reads a run that has no row; nil if it was deleted meanwhile.
func (a *application) rowless(ctx context.Context, key string) (*rowless, error) {
	_, id, err := layout.ParseCommit(key)
	if err != nil {
		return nil, err
	}
	r := &rowless{uid: id.UID}
	e, err := catalogue.Load(ctx, a.Store, key)
	if err == nil {
		if r.parent, err = index.ParentOf(e.Record); err != nil {
			r.unreadable = true
		}
		return r, nil
	}
	if !catalogue.Unreadable(err) {
		return nil, err
	}
	if errors.Is(err, store.ErrNotExist) {
		if _, err := a.Store.Stat(ctx, key); errors.Is(err, store.ErrNotExist) {
			return nil, nil
		}
	}
	r.unreadable = true
	return r, nil
}
