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

// MinGrace is the least that Sweep takes. An archiver that follows logs stores a step's when the step ends, and commits when the run
// does: the grace must be longer than the longest run of the cluster.
const MinGrace = 24 * time.Hour

// SweepOptions say what to sweep.
type SweepOptions struct {
	Store   store.Store
	Cluster layout.Cluster
	// Index says which parts commits name, so that no commit has to be read of runs of which nothing is left over. What it does not say is
	// looked up in the archive. It may be nil.
	Index index.Index
	// Now is the time by the store's clock, Grace how long ago an object must have been stored that is deleted.
	Now   time.Time
	Grace time.Duration
	// After is where to begin, SweepTotals.Next of the time before, and Limit after how many parts to stop, at the end of an hour: who has
	// millions need not list them all at once. Empty and 0 are the beginning and the end.
	After string
	Limit int
	// DryRun reports, and deletes nothing.
	DryRun bool
	// Report is told the key of each object that is deleted. It may be nil.
	Report func(key string)
}

// SweepTotals count what was deleted.
type SweepTotals struct {
	Parts int
	Bytes int64
	// Next is where to go on, empty at the end.
	Next string
}

// Sweep deletes parts that no commit names, of archivers that were killed. It never touches a part of a run that has a commit which cannot
// be read: what that says nobody knows. It holds the keys of one hour in memory. While nothing is left over it costs the store a list
// of the parts.
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

// hours goes through the parts, hour by hour.
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
			continue // fsck names it
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

// parts deletes those of an hour that are nobody's. The commits are read after the parts were listed, so that a part that has
// been committed until then is named by one; and they are listed again before anything is deleted.
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

// indexed takes out of the candidates what the index says that commits name.
func (s *sweep) indexed(ctx context.Context, hour time.Time, candidates map[string][]store.Info) error {
	if s.Index == nil || len(candidates) == 0 {
		return nil
	}
	behind := layout.Run{Created: hour.Add(time.Hour), UID: ""}
	for row, err := range s.Index.Find(ctx, index.Query{Cluster: string(s.Cluster), After: &behind}) {
		if err != nil {
			return err
		}
		if row.Commit.Run.Created.Before(hour) {
			return nil
		}
		takeOut(candidates, row.Commit)
	}
	return nil
}

// committed takes out of the candidates what the commits of their runs name, and all of runs whose commit cannot be read.
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
			takeOut(candidates, commit)
		}
	}
	return nil
}

// takeOut leaves the candidates that a commit does not name.
func takeOut(candidates map[string][]store.Info, commit *manifest.Commit) {
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
