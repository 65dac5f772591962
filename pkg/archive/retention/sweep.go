package retention

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/catalogue"
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
	// Now is the time by the store's clock, Grace how long ago an object must have been stored that is deleted.
	Now   time.Time
	Grace time.Duration
	// DryRun reports, and deletes nothing.
	DryRun bool
	// Report is told the key of each object that is deleted. It may be nil.
	Report func(key string)
}

// SweepTotals count what was deleted.
type SweepTotals struct {
	Parts, Segments int
	Bytes           int64
}

// Sweep deletes parts that no commit names, of archivers and retention that were killed, and segments with runs that have no commit. It
// never touches a part of a run that has a commit which cannot be read: what that says nobody knows. It holds the keys of
// one hour in memory.
func Sweep(ctx context.Context, o SweepOptions) (SweepTotals, error) {
	if o.Grace < MinGrace {
		return SweepTotals{}, fmt.Errorf("sweep: the grace must be at least %s", MinGrace)
	}
	if o.Report == nil {
		o.Report = func(string) {}
	}
	s := &sweep{SweepOptions: o}
	err := hours(ctx, o.Store, o.Cluster.Parts(), s.parts)
	if err == nil {
		err = hours(ctx, o.Store, o.Cluster.Segments(), s.segments)
	}
	if err != nil {
		return s.totals, fmt.Errorf("sweep: %w", err)
	}
	return s.totals, nil
}

type sweep struct {
	SweepOptions
	totals SweepTotals
}

// hours calls do with the objects of each folder below a prefix, and the folder's part of their keys, such as 2026/11/20/10/.
func hours(ctx context.Context, from store.Store, prefix string, do func(ctx context.Context, hour string, objects []store.Info) error) error {
	var objects []store.Info
	var hour string
	for info, err := range from.List(ctx, prefix, "") {
		if err != nil {
			return err
		}
		rest := strings.TrimPrefix(info.Key, prefix)
		folder := rest[:strings.LastIndexByte(rest, '/')+1]
		if folder != hour && len(objects) > 0 {
			if err := do(ctx, hour, objects); err != nil {
				return err
			}
			objects = objects[:0]
		}
		hour, objects = folder, append(objects, info)
	}
	if len(objects) == 0 {
		return nil
	}
	return do(ctx, hour, objects)
}

func (s *sweep) old(info store.Info) bool { return s.Now.Sub(info.Modified) >= s.Grace }

// parts deletes those of an hour that are nobody's. The commits are read after the parts were listed, so that a part that has
// been committed until then is named by one; and they are listed again before anything is deleted.
func (s *sweep) parts(ctx context.Context, hour string, objects []store.Info) error {
	named, unreadable, err := s.commits(ctx, hour)
	if err != nil {
		return err
	}
	var candidates []store.Info
	for _, info := range objects {
		_, uid, _, _, err := layout.ParsePart(info.Key)
		if err == nil && s.old(info) && !named[info.Key] && !unreadable[uid] {
			candidates = append(candidates, info)
		}
	}
	if len(candidates) == 0 {
		return nil
	}
	if named, unreadable, err = s.commits(ctx, hour); err != nil {
		return err
	}
	for _, info := range candidates {
		_, uid, _, _, _ := layout.ParsePart(info.Key)
		if named[info.Key] || unreadable[uid] {
			continue
		}
		if err := s.delete(ctx, info); err != nil {
			return err
		}
		s.totals.Parts++
	}
	return nil
}

// commits returns the keys that the commits of an hour name, and the UIDs of runs whose commit cannot be read.
func (s *sweep) commits(ctx context.Context, hour string) (named, unreadable map[string]bool, err error) {
	named, unreadable = map[string]bool{}, map[string]bool{}
	for info, err := range s.Store.List(ctx, s.Cluster.Commits()+hour, "") {
		if err != nil {
			return nil, nil, err
		}
		_, run, err := layout.ParseCommit(info.Key)
		if err != nil {
			continue
		}
		commit, err := manifest.Read(ctx, s.Store, info.Key)
		switch {
		case errors.Is(err, manifest.ErrDamaged) || errors.Is(err, manifest.ErrVersion):
			unreadable[run.UID] = true
			continue
		case errors.Is(err, store.ErrNotExist):
			continue
		case err != nil:
			return nil, nil, err
		}
		for i := range commit.Parts {
			named[commit.Parts[i].Key] = true
		}
	}
	return named, unreadable, nil
}

// segments deletes those of an hour that have a run without a commit: data of a run that retention deleted and was killed.
func (s *sweep) segments(ctx context.Context, hour string, objects []store.Info) error {
	there := map[string]bool{}
	for info, err := range s.Store.List(ctx, s.Cluster.Commits()+hour, "") {
		if err != nil {
			return err
		}
		there[info.Key] = true
	}
	for _, info := range objects {
		if _, _, _, _, err := layout.ParseSegment(info.Key); err != nil {
			continue
		}
		stale, err := catalogue.Stale(ctx, s.Store, info.Key, func(commit string) bool { return there[commit] })
		if err != nil {
			return err
		}
		if !stale {
			continue
		}
		if err := s.delete(ctx, info); err != nil {
			return err
		}
		s.totals.Segments++
	}
	return nil
}

func (s *sweep) delete(ctx context.Context, info store.Info) error {
	s.Report(info.Key)
	s.totals.Bytes += info.Size
	if s.DryRun {
		return nil
	}
	return s.Store.Delete(ctx, info.Key)
}
