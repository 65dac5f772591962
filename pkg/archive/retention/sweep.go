package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// MinGrace is the minimal SweepOptions.Grace. It must exceed the longest archiving attempt: parts
// precede their commit.
const MinGrace = 24 * time.Hour

// SweepOptions are options of Sweep.
type SweepOptions struct {
	Store   store.Store
	Cluster layout.Cluster
	// Index, if not nil, saves reading commits: parts that are named by commits in the index are
	// not looked up in the archive.
	Index index.Index
	// Now is the time by the store's clock. Grace is the age from which an object may be deleted.
	Now   time.Time
	Grace time.Duration
	// After is where to start (SweepTotals.Next of the previous call), Limit the number of parts
	// after which to stop, at the end of an hour. With them, millions of parts are not listed at
	// once. Empty and 0 are the start and the end.
	After string
	Limit int
	// DryRun reports and deletes nothing.
	DryRun bool
	// Report, if not nil, is called with the key of each object to delete.
	Report func(key string)
}

// SweepTotals count deleted objects.
type SweepTotals struct {
	Parts int
	Bytes int64
	// Next is where to continue, empty at the end.
	Next string
}

// Sweep deletes parts that no commit names, which killed archivers left. It does not touch parts of
// a run whose commit cannot be read. It holds the keys of one hour in memory. If there is nothing
// to delete, it costs a listing of the parts.
func Sweep(ctx context.Context, o SweepOptions) (SweepTotals, error) {
	if o.Grace < MinGrace {
		return SweepTotals{}, fmt.Errorf("sweep: the grace must be at least %s", MinGrace)
	}
	if o.Report == nil {
		o.Report = func(string) {}
	}
	s := &sweep{SweepOptions: o}
	if err := s.hours(ctx); err != nil {
		return s.totals, fmt.Errorf("sweep: %w", err)
	}
	return s.totals, nil
}

type sweep struct {
	SweepOptions
	totals SweepTotals
}

// hours calls parts for each hour.
func (s *sweep) hours(ctx context.Context) error {
	var objects []store.Info
	var hour time.Time
	listed := 0
	for info, err := range s.Store.List(ctx, s.Cluster.Parts(), s.After) {
		if err != nil {
			return err
		}
		at, err := layout.PartHour(info.Key)
		if err != nil {
			continue // reported by fsck
		}
		if !at.Equal(hour) {
			if err := s.parts(ctx, hour, objects); err != nil {
				return err
			}
			if s.Limit > 0 && listed >= s.Limit {
				s.totals.Next = objects[len(objects)-1].Key
				return nil
			}
			objects = objects[:0]
		}
		hour, objects, listed = at, append(objects, info), listed+1
	}
	return s.parts(ctx, hour, objects)
}

func (s *sweep) old(info store.Info) bool { return s.Now.Sub(info.Modified) >= s.Grace }

// parts deletes the parts of an hour that no commit names. It reads commits after it has listed
// parts, so a part committed meanwhile is named by one; and it lists them again before it deletes.
func (s *sweep) parts(ctx context.Context, hour time.Time, objects []store.Info) error {
	candidates := map[string][]store.Info{} // by UID
	for _, info := range objects {
		if _, uid, _, _, err := layout.ParsePart(info.Key); err == nil && s.old(info) {
			candidates[uid] = append(candidates[uid], info)
		}
	}
	err := s.indexed(ctx, hour, candidates)
	for range 2 {
		if err == nil && len(candidates) > 0 {
			err = s.committed(ctx, hour, candidates)
		}
	}
	if err != nil {
		return err
	}
	for _, left := range candidates {
		for _, info := range left {
			if err := s.delete(ctx, info); err != nil {
				return err
			}
			s.totals.Parts++
		}
	}
	return nil
}

// indexed removes the candidates that commits in the index name.
func (s *sweep) indexed(ctx context.Context, hour time.Time, candidates map[string][]store.Info) error {
	if s.Index == nil || len(candidates) == 0 {
		return nil
	}
	nextHour := layout.Run{Created: hour.Add(time.Hour), UID: ""}
	for row, err := range s.Index.Find(ctx, index.Query{Cluster: string(s.Cluster), After: &nextHour}) {
		if err != nil {
			return err
		}
		if row.Commit.Run.Created.Before(hour) {
			return nil
		}
		removeNamed(candidates, row.Commit)
	}
	return nil
}

// committed removes the candidates that the commits of their runs name, and all candidates of runs
// whose commit cannot be read.
func (s *sweep) committed(ctx context.Context, hour time.Time, candidates map[string][]store.Info) error {
	for info, err := range s.Store.List(ctx, s.Cluster.CommitsIn(hour), "") {
		if err != nil {
			return err
		}
		_, run, err := layout.ParseCommit(info.Key)
		if err != nil || candidates[run.UID] == nil {
			continue
		}
		commit, err := manifest.Read(ctx, s.Store, info.Key)
		switch {
		case errors.Is(err, manifest.ErrDamaged) || errors.Is(err, manifest.ErrVersion):
			delete(candidates, run.UID)
		case errors.Is(err, store.ErrNotExist):
		case err != nil:
			return err
		default:
			removeNamed(candidates, commit)
		}
	}
	return nil
}

// removeNamed removes the candidates that a commit names.
func removeNamed(candidates map[string][]store.Info, commit *manifest.Commit) {
	left := slices.DeleteFunc(candidates[commit.Run.UID], func(info store.Info) bool {
		return slices.ContainsFunc(commit.Parts, func(p manifest.Part) bool { return p.Key == info.Key })
	})
	if len(left) == 0 {
		delete(candidates, commit.Run.UID)
		return
	}
	candidates[commit.Run.UID] = left
}

func (s *sweep) delete(ctx context.Context, info store.Info) error {
	s.Report(info.Key)
	s.totals.Bytes += info.Size
	if s.DryRun {
		return nil
	}
	return s.Store.Delete(ctx, info.Key)
}
