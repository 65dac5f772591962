package object

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// MinGrace is how long a tombstone stays at least, and a content that nobody names: longer than any
// writer takes.
const MinGrace = 24 * time.Hour

// SweepOptions say what to sweep.
type SweepOptions struct {
	// Now is the time by the store's clock, Grace how long ago something must have been stored that
	// is deleted: MinGrace at least.
	Now   time.Time
	Grace time.Duration
	// Known says which generations an index has: those are no tombstones. The others are read, to
	// find those whose writer was killed before it marked them. It is asked for keys in their
	// order. nil reads none.
	Known func(key string) bool
	// DryRun reports, and deletes nothing.
	DryRun bool
	// Report is told the key of each object that is deleted. It may be nil.
	Report func(key string)
}

// SweepTotals count what was deleted.
type SweepTotals struct {
	// Generations are those that have successors or are tombstones, with their marks, and what is
	// under Results that are deleted. Contents are those that no Log names.
	Generations, Contents int
	Bytes                 int64
}

// Sweep deletes generations that mean nothing any more, and contents that no Log names. It holds
// the keys of a tree in memory. While nothing is left over it costs the store a list of the keys.
func (o *Objects) Sweep(ctx context.Context, s SweepOptions) (SweepTotals, error) {
	if s.Grace < MinGrace {
		return SweepTotals{}, fmt.Errorf("sweep objects: the grace must be at least %s", MinGrace)
	}
	if s.Report == nil {
		s.Report = func(string) {}
	}
	w := &sweep{Objects: o, SweepOptions: s}
	err := w.trees(ctx)
	if err == nil {
		err = w.contents(ctx)
	}
	if err == nil && !s.DryRun {
		err = o.clearMarks(ctx, s.Now)
	}
	if err != nil {
		return w.totals, fmt.Errorf("sweep objects: %w", err)
	}
	return w.totals, nil
}

type sweep struct {
	*Objects
	SweepOptions
	totals SweepTotals
	// at is what was found of the tree that is being swept.
	at tree
}

// tree is what a sweep knows of a tree while it goes through its keys: the Result comes first.
type tree struct {
	hash string
	// result is the Result's head, if it has one.
	result head
	// left says that something under the Result stays.
	left bool
}

func (s *sweep) old(info store.Info) bool { return s.Now.Sub(info.Modified) >= s.Grace }

func (s *sweep) trees(ctx context.Context) error {
	for h, err := range s.heads(ctx, "") {
		if err != nil {
			return err
		}
		if h.name.Tree != s.at.hash {
			if err := s.endOfTree(ctx); err != nil {
				return err
			}
			s.at = tree{hash: h.name.Tree}
		}
		if err := s.head(ctx, h); err != nil {
			return err
		}
	}
	return s.endOfTree(ctx)
}

// head deletes what a name does not need. A Result that is deleted goes when nothing is under it
// any more: what is there would be the one's that is created next.
func (s *sweep) head(ctx context.Context, h head) error {
	for _, old := range h.older {
		if err := s.delete(ctx, old, &s.totals.Generations); err != nil {
			return err
		}
	}
	if h.none() {
		return nil
	}
	if err := s.discover(ctx, &h); err != nil {
		return err
	}
	if h.Kind == Result {
		s.at.result = h
		return nil
	}
	result := s.at.result
	if h.Gone || h.Epoch < result.Epoch || result.Gone && h.Epoch == result.Epoch {
		return s.remove(ctx, h)
	}
	s.at.left = true
	return nil
}

func (s *sweep) endOfTree(ctx context.Context) error {
	if s.at.result.Gone && !s.at.left {
		return s.remove(ctx, s.at.result)
	}
	return nil
}

// remove deletes the newest generation of a name, the mark first: without its generation it would
// say nothing.
func (s *sweep) remove(ctx context.Context, h head) error {
	if h.Gone && !s.old(h.mark) || !s.old(h.info) {
		s.at.left = true
		return nil
	}
	for _, info := range []store.Info{h.mark, h.info} {
		if info.Key == "" {
			continue
		}
		if err := s.delete(ctx, info, &s.totals.Generations); err != nil {
			return err
		}
	}
	return nil
}

// discover finds a tombstone that has no mark.
func (s *sweep) discover(ctx context.Context, h *head) error {
	if h.Gone || s.Known == nil || s.Known(h.at) || !s.old(h.info) {
		return nil
	}
	began := s.now()
	f, err := s.read(ctx, h.at)
	if Unreadable(err) {
		return nil // fsck names it
	}
	if err == nil && f.Deleted && !s.DryRun {
		err = s.buried(ctx, *h, began)
	}
	return err
}

func (s *sweep) delete(ctx context.Context, info store.Info, count *int) error {
	if !s.old(info) {
		return nil
	}
	s.Report(info.Key)
	*count++
	s.totals.Bytes += info.Size
	if s.DryRun {
		return nil
	}
	return s.store.Delete(ctx, info.Key)
}

// contents deletes those that no Log names. A content is stored for the generation in its key: one
// of the newest generation is left alone if it is the only one, and of the others the newest
// generation is asked.
func (s *sweep) contents(ctx context.Context) error {
	var log layout.ObjectKey
	var all []store.Info
	for info, err := range s.store.List(ctx, s.cluster.Contents(), "") {
		if err != nil {
			return err
		}
		_, k, _, err := layout.ParseContent(info.Key)
		if err != nil {
			continue // fsck names it
		}
		if k.Number = 0; k != log {
			if err := s.contentsOf(ctx, log, all); err != nil {
				return err
			}
			log, all = k, all[:0]
		}
		all = append(all, info)
	}
	return s.contentsOf(ctx, log, all)
}

func (s *sweep) contentsOf(ctx context.Context, log layout.ObjectKey, all []store.Info) error {
	if !slices.ContainsFunc(all, s.old) {
		return nil
	}
	named, err := s.named(ctx, log, all)
	if Unreadable(err) {
		return nil // what it names nobody knows; fsck names it
	}
	if err != nil {
		return err
	}
	for _, info := range all {
		if info.Key == named {
			continue
		}
		if err := s.delete(ctx, info, &s.totals.Contents); err != nil {
			return err
		}
	}
	return nil
}

// named returns the content that a Log names, as far as it must be known: "" if it has none.
func (s *sweep) named(ctx context.Context, log layout.ObjectKey, all []store.Info) (string, error) {
	h, err := s.Objects.head(ctx, log)
	if err != nil || h.none() || h.Gone {
		return "", err
	}
	if len(all) == 1 {
		if _, k, _, err := layout.ParseContent(all[0].Key); err == nil && k.Number == h.Number {
			return all[0].Key, nil
		}
	}
	_, f, err := s.newest(ctx, log)
	if err != nil || f == nil || f.Deleted {
		return "", err
	}
	c, err := ContentOf(&f.Object)
	if err != nil {
		return "", err
	}
	return c.Part, nil
}
