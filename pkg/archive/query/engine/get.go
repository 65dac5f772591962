package engine

import (
	"context"
	"errors"
	"slices"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// isLost: the bucket no longer has what was archived, or it is damaged.
func isLost(err error) bool {
	return errors.Is(err, manifest.ErrDamaged) || errors.Is(err, store.ErrNotExist)
}

// GetRecord implements query.Engine.
func (e *Engine) GetRecord(ctx context.Context, parent, result, record string) (*pb.Record, error) {
	i, err := e.get(ctx, parent, result, record)
	if err != nil {
		return nil, err
	}
	return newRecord(i.group, i.entry, i.class, i.data), nil
}

// Commit implements query.Engine.
func (e *Engine) Commit(ctx context.Context, parent, result, record string) (*manifest.Commit, error) {
	i, err := e.get(ctx, parent, result, record)
	if err != nil {
		return nil, err
	}
	if i.entry.Tool {
		return nil, notFound("archived run of", parent+"/results/"+result+"/records/"+record)
	}
	commit, err := i.entry.Commit()
	return commit, unavailable(err)
}

func (e *Engine) get(ctx context.Context, parent, result, record string) (*item, error) {
	r, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	found, err := r.find(ctx, parent, result, record)
	if err != nil {
		return nil, unavailable(err)
	}
	if found == nil {
		if err := r.finish(ctx); err != nil {
			return nil, err
		}
		return nil, notFound("record", parent+"/results/"+result+"/records/"+record)
	}
	if err := r.Load(ctx, []*index.Entry{found.entry}); err != nil {
		return nil, unavailable(err)
	}
	if !found.entry.Loaded() {
		return nil, notFound("record", parent+"/results/"+result+"/records/"+record)
	}
	found.data, err = r.data(ctx, found.entry, found.group, found.class)
	if found.class == ofEvents && isLost(err) {
		return nil, status.Errorf(codes.DataLoss, "the events of run %s are damaged or missing",
			found.entry.UID)
	}
	return found, unavailable(err)
}

// find looks for a run by its UID, then for a tool's record, then for the log or events of a run of
// the Result.
func (r *reading) find(ctx context.Context, parent, result, record string) (*item, error) {
	runs, tools, scopes := r.split(&query.List{Parent: parent})
	scans := []index.Scan{
		{Path: index.ByUID, Groups: runs, Texts: []string{record}},
		{Path: index.ByUID, Groups: tools, Texts: []string{record}, Tool: true},
		{Path: index.ByResult, Groups: runs, Scopes: scopes, Texts: []string{result}},
	}
	for n, s := range scans {
		if len(s.Groups) == 0 {
			continue
		}
		s.Cluster = r.Cluster
		for {
			s.Limit = 1000
			entries, err := r.Entries(ctx, s)
			if err != nil {
				return nil, err
			}
			for i := range entries {
				if found := r.named(&entries[i], result, record); found != nil {
					return found, nil
				}
			}
			if n < len(scans)-1 || len(entries) < s.Limit {
				break
			}
			last := s.Position(&entries[len(entries)-1])
			s.After = &last
		}
	}
	return nil, nil
}

// named returns the record of an entry that has this name.
func (r *reading) named(e *index.Entry, result, record string) *item {
	if e.Result != result {
		return nil
	}
	for _, c := range classes {
		if id(e, c) == record && (c == ofRun || c == ofLog && e.HasLog || c == ofEvents && e.HasEvents) {
			for i := range r.groups {
				if r.groups[i].ID == e.Group {
					return &item{group: &r.groups[i], entry: e, class: c}
				}
			}
		}
	}
	return nil
}

// split returns the ids of the groups, by kind, and of the scopes that a list may read.
func (r *reading) split(q *query.List) (runs, tools, scopes []int64) {
	for _, g := range r.inScope(q) {
		if g.Tool {
			tools = append(tools, g.ID)
		} else {
			runs = append(runs, g.ID)
		}
		scopes = append(scopes, g.Scope)
	}
	slices.Sort(scopes)
	return runs, tools, slices.Compact(scopes)
}
