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

// CompactOptions say what to compact.
type CompactOptions struct {
	// Now is the time by the store's clock, as near as it is known.
	Now time.Time
	// Passed is told of what does not go into segments: an object that is damaged, a segment that
	// is. It may be nil.
	Passed func(key string, err error)
}

// CompactTotals count what Compact did.
type CompactTotals struct {
	Segments, Objects int
}

const (
	// settled is how old a generation is that goes into a segment. Its bucket is listed in less.
	settled = time.Minute
	// stayStale is how long a copy stays of what was changed or deleted.
	stayStale = 24 * time.Hour
)

// Compact writes the segments of a bucket anew, a 256th of all objects, where a quarter of them is
// not in any or not the newest any more, and where something that is not has been in one for a day.
// So what is written in all is in proportion to what changes; while nothing does, it costs the
// list. It holds the keys of a bucket in memory, and a segment. Killed at any point it leaves what
// the next one goes on from.
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

// compaction is one run of Compact.
type compaction struct {
	*Objects
	CompactOptions
	totals CompactTotals
	there  map[string]*segments
}

// segments are those of a bucket.
type segments struct {
	keys    []string
	parsed  []layout.ObjectSegmentKey
	objects int
	// mixed says that they are of several writers: one was killed, or several were at it.
	mixed bool
}

func (k *compaction) listSegments(ctx context.Context, below string) error {
	k.there = map[string]*segments{}
	for info, err := range k.store.List(ctx, below, "") {
		if err != nil {
			return err
		}
		_, parsed, err := layout.ParseObjectSegment(info.Key)
		if err != nil {
			continue // fsck names it
		}
		s := k.there[parsed.Digits]
		if s == nil {
			s = &segments{}
			k.there[parsed.Digits] = s
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
	for digits, s := range k.there { // buckets without any object
		if err := k.rewrite(ctx, digits, nil, s); err != nil {
			return err
		}
	}
	return nil
}

// bucket writes the segments of one anew if that is worth it.
func (k *compaction) bucket(ctx context.Context, digits string, heads []head) error {
	s := k.there[digits]
	delete(k.there, digits)
	if s == nil {
		s = &segments{}
	}
	var cut time.Time
	if len(s.parsed) > 0 {
		cut = s.parsed[0].Cut
	}
	in := 0 // what was the newest when they were written, and still is
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

// Forget takes what was deleted out of segments at once: it writes those anew that may have
// something of the trees.
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
	s := k.there[digits]
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

// rewrite writes the segments of a bucket, and then deletes those there were.
func (k *compaction) rewrite(ctx context.Context, digits string, heads []head, old *segments) error {
	w := &rewriting{
		compaction: k, build: newSegmentBuilder(), began: k.now(),
		key: layout.ObjectSegmentKey{Digits: digits, Writer: strings.ToLower(rand.Text())},
	}
	if heads = w.settle(heads); len(heads) > 0 {
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
	// considered counts what was looked at since the last segment, with what did not go into it.
	considered int
	// texts are those of the old segment that is open, by keys.
	texts map[string][]byte
	// began is when the first was read.
	began time.Time
	// epoch and gone are those of tree.
	tree  string
	epoch int64
	gone  bool
}

// settle finds up to when all that was stored is in the list, and leaves out what was stored since.
func (w *rewriting) settle(heads []head) []head {
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
		w.key.Cut = quiet // nothing has come since
	}
	var all []head
	for i := range heads {
		if !heads[i].info.Modified.After(w.key.Cut) {
			all = append(all, heads[i])
		}
	}
	return all
}

// write reads generations, from the segments there were as far as they have them, and writes
// segments.
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

// load reads a segment, and says how many heads come up to its end.
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

// add adds generations in their order.
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

// read reads some generations. Those that cannot be read have no file.
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

// text reads a generation's text.
func (o *Objects) text(ctx context.Context, key string) ([]byte, error) {
	packed, err := o.readAll(ctx, key)
	if err != nil {
		return nil, err
	}
	return textOf(key, packed)
}

// one adds a generation, unless it is a tombstone, which gets its mark if it has none yet, or under
// a Result that is deleted.
func (w *rewriting) one(ctx context.Context, h *head, text []byte, f *file) error {
	w.considered++
	if h.Tree != w.tree {
		w.tree, w.epoch, w.gone = h.Tree, 0, false
	}
	if h.Kind == Result {
		w.epoch, w.gone = h.Epoch, f != nil && f.Deleted
	}
	switch {
	case f == nil, w.gone && h.Kind != Result, h.Epoch != w.epoch:
		return nil
	case f.Deleted:
		w.considered-- // it is none any more when it is listed again
		return w.buried(ctx, *h, w.began)
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

// flush stores what was added.
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
