package object

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
)

// CompactOptions are options of Compact.
type CompactOptions struct {
	// Now is the time by the store's clock, as nearly as known.
	Now time.Time
	// Passed, if not nil, is called for each damaged object or segment that is left out.
	Passed func(key string, err error)
}

// CompactTotals count what Compact did.
type CompactTotals struct {
	Segments, Objects int
}

const (
	// settled is the minimal age of a generation in a segment. Listing a bucket takes less.
	settled = time.Minute
	// stayStale is how long the copy of a changed or deleted generation may stay in a segment.
	stayStale = 24 * time.Hour
)

// Compact rewrites the segments of a bucket, which is a 256th of all objects, if about a quarter of
// the objects is in no segment or changed, or if an obsolete copy is older than a day. So the
// amount written is in proportion to the changes; without changes, it costs a listing. It holds the
// keys of one bucket and one segment in memory. If it is killed, the next call continues.
func (o *Objects) Compact(ctx context.Context, c CompactOptions) (CompactTotals, error) {
	if c.Passed == nil {
		c.Passed = func(string, error) {}
	}
	k := &compaction{Objects: o, CompactOptions: c}
	if err := k.run(ctx); err != nil {
		return k.totals, fmt.Errorf("compact objects: %w", err)
	}
	return k.totals, nil
}

// compaction is the state of one call of Compact.
type compaction struct {
	*Objects
	CompactOptions
	totals   CompactTotals
	existing map[string]*segments
}

// segments are the segments of one bucket.
type segments struct {
	keys    []string
	parsed  []layout.ObjectSegmentKey
	objects int
	// mixed: they are of several writers, because one was killed or several were active.
	mixed bool
}

func (k *compaction) listSegments(ctx context.Context, below string) error {
	k.existing = map[string]*segments{}
	for info, err := range k.store.List(ctx, below, "") {
		if err != nil {
			return err
		}
		_, parsed, err := layout.ParseObjectSegment(info.Key)
		if err != nil {
			continue // reported by fsck
		}
		s := k.existing[parsed.Digits]
		if s == nil {
			s = &segments{}
			k.existing[parsed.Digits] = s
		}
		s.mixed = s.mixed || len(s.parsed) > 0 && s.parsed[0].Writer != parsed.Writer
		s.keys, s.parsed, s.objects = append(s.keys, info.Key), append(s.parsed, parsed), s.objects+parsed.Objects
	}
	return nil
}

func (k *compaction) run(ctx context.Context) error {
	if err := k.listSegments(ctx, k.cluster.ObjectSegments()); err != nil {
		return err
	}
	var digits string
	var heads []head
	for h, err := range k.heads(ctx, "") {
		if err != nil {
			return err
		}
		if h.none() {
			continue
		}
		if d := bucketOf(h.Tree); d != digits {
			if err := k.bucket(ctx, digits, heads); err != nil {
				return err
			}
			digits, heads = d, heads[:0]
		}
		if h.older = nil; !h.Gone {
			heads = append(heads, h)
		}
	}
	if err := k.bucket(ctx, digits, heads); err != nil {
		return err
	}
	for digits, s := range k.existing { // buckets without objects
		if err := k.rewrite(ctx, digits, nil, s); err != nil {
			return err
		}
	}
	return nil
}

// bucket rewrites the segments of a bucket if that is worthwhile.
func (k *compaction) bucket(ctx context.Context, digits string, heads []head) error {
	s := k.existing[digits]
	delete(k.existing, digits)
	if s == nil {
		s = &segments{}
	}
	var cut time.Time
	if len(s.parsed) > 0 {
		cut = s.parsed[0].Cut
	}
	in := 0 // the newest when the segments were written, and still
	for i := range heads {
		if !heads[i].info.Modified.After(cut) {
			in++
		}
	}
	fresh, stale := len(heads)-in, max(s.objects-in, 0)
	few := max(worthwhile, s.objects/4)
	if s.mixed || fresh >= few || stale >= few || stale > 0 && k.Now.Sub(cut) > stayStale {
		return k.rewrite(ctx, digits, heads, s)
	}
	return nil
}

// Forget removes deleted objects from segments immediately: it rewrites the segments of the trees'
// buckets.
func (o *Objects) Forget(ctx context.Context, trees ...string) error {
	k := &compaction{Objects: o, CompactOptions: CompactOptions{Now: o.now(), Passed: func(string, error) {}}}
	done := map[string]bool{}
	for _, tree := range trees {
		digits := bucketOf(tree)
		if done[digits] {
			continue
		}
		done[digits] = true
		if err := k.forget(ctx, digits); err != nil {
			return fmt.Errorf("forget objects: %w", err)
		}
	}
	return nil
}

func (k *compaction) forget(ctx context.Context, digits string) error {
	if err := k.listSegments(ctx, k.cluster.ObjectSegmentsIn(digits)); err != nil {
		return err
	}
	s := k.existing[digits]
	if s == nil {
		return nil
	}
	var heads []head
	for h, err := range k.heads(ctx, digits) {
		if err != nil {
			return err
		}
		if h.older = nil; !h.Gone && !h.none() {
			heads = append(heads, h)
		}
	}
	return k.rewrite(ctx, digits, heads, s)
}

// rewrite writes new segments of a bucket, and then deletes the old ones.
func (k *compaction) rewrite(ctx context.Context, digits string, heads []head, old *segments) error {
	w := &rewriting{
		compaction: k, build: newSegmentBuilder(), began: k.now(),
		key: layout.ObjectSegmentKey{Digits: digits, Writer: strings.ToLower(rand.Text())},
	}
	if heads = w.chooseCut(heads); len(heads) > 0 {
		if err := w.write(ctx, heads, old); err != nil {
			return err
		}
	}
	for _, key := range old.keys {
		if err := k.store.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// rewriting writes the segments of one bucket.
type rewriting struct {
	*compaction
	key   layout.ObjectSegmentKey
	build *segmentBuilder
	// considered counts the generations processed since the last segment, including those left out.
	considered int
	// texts are the generations in the old segment that was loaded, by key.
	texts map[string][]byte
	// began is the time before the first read.
	began time.Time
	// epoch and resultDeleted are about the Result of tree.
	tree          string
	epoch         int64
	resultDeleted bool
}

// chooseCut sets the time until which everything stored is certainly in the list, and returns the
// generations stored until then.
func (w *rewriting) chooseCut(heads []head) []head {
	var newest time.Time
	for i := range heads {
		if at := heads[i].info.Modified; at.After(newest) {
			newest = at
		}
	}
	if w.Now.Before(newest) {
		newest = w.Now
	}
	w.key.Cut = newest.Add(-settled).Truncate(time.Second)
	if quiet := newest.Add(time.Second).Truncate(time.Second); w.Now.Sub(quiet) > settled {
		w.key.Cut = quiet // nothing was stored since
	}
	var all []head
	for i := range heads {
		if !heads[i].info.Modified.After(w.key.Cut) {
			all = append(all, heads[i])
		}
	}
	return all
}

// write reads generations, from the old segments as far as possible, and writes new segments.
func (w *rewriting) write(ctx context.Context, heads []head, old *segments) error {
	if !old.mixed {
		for _, key := range old.keys {
			n, err := w.load(ctx, key, heads)
			if err != nil {
				return err
			}
			if err := w.add(ctx, heads[:n]); err != nil {
				return err
			}
			heads = heads[n:]
		}
	}
	if err := w.add(ctx, heads); err != nil {
		return err
	}
	return w.flush(ctx)
}

// load reads a segment into texts. It returns the number of heads up to the segment's end.
func (w *rewriting) load(ctx context.Context, key string, heads []head) (int, error) {
	w.texts = map[string][]byte{}
	var last string
	s, err := segmentFormat.Open(ctx, w.store, key)
	if err == nil {
		for text, lineErr := range s.Lines() {
			if err = lineErr; err != nil {
				break
			}
			var f *file
			if f, err = w.decodeText("", text); err != nil {
				break
			}
			w.texts[f.Key], last = bytes.Clone(text), max(last, f.Key)
		}
	}
	switch {
	case isDamagedSegment(err):
		w.Passed(key, err)
	case err != nil && !missing(err):
		return 0, err
	}
	n := 0
	for n < len(heads) && heads[n].at <= last {
		n++
	}
	return n, nil
}

// add adds generations, in their order.
func (w *rewriting) add(ctx context.Context, heads []head) error {
	for len(heads) > 0 {
		n := min(chunk, len(heads))
		texts, files, err := w.read(ctx, heads[:n])
		if err != nil {
			return err
		}
		for i := range heads[:n] {
			if err := w.one(ctx, &heads[i], texts[i], files[i]); err != nil {
				return err
			}
		}
		heads = heads[n:]
	}
	w.texts = nil
	return nil
}

// read reads generations. Those that cannot be read have a nil file.
func (w *rewriting) read(ctx context.Context, heads []head) ([][]byte, []*file, error) {
	texts, files, failed := make([][]byte, len(heads)), make([]*file, len(heads)), make([]error, len(heads))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i := range heads {
		group.Go(func() error {
			texts[i] = w.texts[heads[i].at]
			if texts[i] == nil {
				texts[i], failed[i] = w.text(ctx, heads[i].at)
			}
			if failed[i] == nil {
				files[i], failed[i] = w.decodeText(heads[i].at, texts[i])
			}
			if err := failed[i]; err != nil && !Unreadable(err) {
				return err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	for i, err := range failed {
		if err != nil {
			files[i] = nil
			if !missing(err) {
				w.Passed(heads[i].at, err)
			}
		}
	}
	return texts, files, nil
}

// text reads the JSON of a generation.
func (o *Objects) text(ctx context.Context, key string) ([]byte, error) {
	packed, err := o.readAll(ctx, key)
	if err != nil {
		return nil, err
	}
	return textOf(key, packed)
}

// one adds a generation, unless its Result is deleted, or it is a tombstone. A tombstone gets its
// mark if it has none.
func (w *rewriting) one(ctx context.Context, h *head, text []byte, f *file) error {
	w.considered++
	if h.Tree != w.tree {
		w.tree, w.epoch, w.resultDeleted = h.Tree, 0, false
	}
	if h.Kind == Result {
		w.epoch, w.resultDeleted = h.Epoch, f != nil && f.Deleted
	}
	switch {
	case f == nil, w.resultDeleted && h.Kind != Result, h.Epoch != w.epoch:
		return nil
	case f.Deleted:
		w.considered-- // with its mark, the next compaction does not list it
		return w.finishDeletion(ctx, *h, w.began)
	}
	if err := w.build.add(h.at, text); err != nil {
		w.Passed(h.at, err)
		return nil
	}
	if w.build.Full() {
		return w.flush(ctx)
	}
	return nil
}

// flush stores the segment.
func (w *rewriting) flush(ctx context.Context) error {
	if len(w.build.keys) == 0 {
		return nil
	}
	data, err := w.build.Finish()
	if err != nil {
		return err
	}
	w.key.Objects = w.considered
	key, err := w.cluster.ObjectSegment(w.key)
	if err == nil {
		err = w.store.Create(ctx, key, bytes.NewReader(data))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("store segment %d", w.key.Which), err)
	}
	w.totals.Segments++
	w.totals.Objects += len(w.build.keys)
	w.key.Which++
	w.considered, w.build = 0, newSegmentBuilder()
	return nil
}
