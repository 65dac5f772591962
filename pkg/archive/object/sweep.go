package object

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// MinGrace is the minimal age at which tombstones and unnamed contents are deleted. It must exceed
// the time that any writer takes.
const MinGrace = 24 * time.Hour

// SweepOptions are options of Sweep.
type SweepOptions struct {
	// Now is the time by the store's clock. Grace is the age from which objects are deleted, at
	// least MinGrace.
	Now   time.Time
	Grace time.Duration
	// Known reports whether an index has a generation, which is no tombstone then. Other
	// generations are read, to find tombstones whose writer was killed before it marked them. It is
	// called in the order of keys. If it is nil, none are read.
	Known func(key string) bool
	// DryRun reports and deletes nothing.
	DryRun bool
	// Report, if not nil, is called with the key of each object to delete.
	Report func(key string)
}

// SweepTotals count deleted objects.
type SweepTotals struct {
	// Generations counts generations with successors, tombstones, marks, and what is under deleted
	// Results. Contents counts contents that no Log names.
	Generations, Contents int
	Bytes                 int64
}

// Sweep deletes obsolete generations, and contents that no Log names. It holds the keys of a tree
// in memory. If there is nothing to delete, it costs a listing.
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
	// at is the current tree.
	at tree
}

// tree is what is known of a tree while its keys are listed. The Result comes first.
type tree struct {
	hash string
	// result is the Result's head, if it has one.
	result head
	// left: something under the Result stays.
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

// head deletes the obsolete generations of a name. The tombstone of a Result is deleted only if
// nothing is under it any more; otherwise that would belong to the next Result with this name.
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

// remove deletes the newest generation of a name. The mark is deleted first, because it means
// nothing without its generation.
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

// discover finds a tombstone without a mark.
func (s *sweep) discover(ctx context.Context, h *head) error {
	if h.Gone || s.Known == nil || s.Known(h.at) || !s.old(h.info) {
		return nil
	}
	began := s.now()
	f, err := s.read(ctx, h.at)
	if Unreadable(err) {
		return nil // reported by fsck
	}
	if err == nil && f.Deleted && !s.DryRun {
		err = s.finishDeletion(ctx, *h, began)
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

// contents deletes contents that no Log names. A content's key has the number of the generation
// that it was stored for. If a Log has only one content, and that is for the newest generation, it
// is kept without reading the Log.
func (s *sweep) contents(ctx context.Context) error {
	var log layout.ObjectKey
	var all []store.Info
	for info, err := range s.store.List(ctx, s.cluster.Contents(), "") {
		if err != nil {
			return err
		}
		_, k, _, err := layout.ParseContent(info.Key)
		if err != nil {
			continue // reported by fsck
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
		return nil // what it names is unknown; reported by fsck
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

// named returns the key of the content that the Log names, "" if none.
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
