package engine

import (
	"context"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/indelible-ci/indelible/pkg/archive/index"
)

// item is a record of a list.
type item struct {
	group *index.Group
	entry *index.Entry
	class class
	// loaded is a copy of the entry with its record, during read.
	loaded *index.Entry
	// data is set if the item matches and data is wanted. size is its size in any case.
	data  []byte
	size  int
	match bool
	err   error
}

const (
	// maxPageBytes bounds the data of a page, which ends early then (https://google.aip.dev/158
	// allows that). A response over REST is in memory five times.
	maxPageBytes = 8 << 20
	// maxHeld is about how many bytes of records are loaded at a time.
	maxHeld = 4 << 20
	// firstPiece is how many records are loaded while their size is unknown, largestPiece the most,
	// and largestBlind the most if none is unpacked, so that the size stays unknown.
	firstPiece, largestPiece, largestBlind = 16, 512, 128
)

// asIs: no record needs to be loaded.
func (l *listing) asIs() bool { return l.metadata && l.filter.All() }

// comparers is how many records are unpacked at a time, fetchers how many are read from the bucket.
const comparers, fetchers = 2, 16

// compare reads the data of items, evaluates the filter, and passes matches to take until that
// returns false.
func (l *listing) compare(ctx context.Context, items []*item, take func(*item) bool) error {
	for len(items) > 0 {
		n := l.cut(items)
		if l.looked += n; l.looked > l.MaxScan {
			return l.tooMuch()
		}
		done, err := l.read(ctx, items[:n])
		if err != nil {
			return err
		}
		l.looked -= n - done
		for _, i := range items[:done] {
			if i.err != nil {
				return i.err
			}
			if i.match && !take(i) {
				return nil
			}
		}
		items = items[done:]
	}
	return nil
}

// cut returns how many items to load now. Items of the same entry stay together.
func (l *listing) cut(items []*item) int {
	if l.asIs() {
		return len(items)
	}
	if l.piece == 0 {
		l.piece = firstPiece
	}
	n := min(l.piece, len(items))
	for n < len(items) && items[n].entry == items[n-1].entry {
		n++
	}
	return n
}

// read evaluates the filter for items, or for the first ones only if they are large. It returns for
// how many.
func (l *listing) read(ctx context.Context, items []*item) (int, error) {
	if l.asIs() {
		for _, i := range items {
			i.match = true
		}
		return len(items), nil
	}
	entries, workers := loadable(items)
	if err := l.Load(ctx, entries); err != nil {
		return 0, err
	}
	done := l.lookAll(ctx, items, workers)
	l.resize(items[:done])
	for _, i := range items {
		i.loaded = nil
	}
	return done, ctx.Err()
}

// loadable gives items copies of their entries to load, so that pages and sources hold no records.
// It returns the copies, and how many items to look at concurrently.
func loadable(items []*item) (entries []*index.Entry, workers int) {
	workers = comparers
	for n, i := range items {
		if n == 0 || i.entry != items[n-1].entry {
			loaded := *i.entry
			entries = append(entries, &loaded)
		}
		i.loaded = entries[len(entries)-1]
		if i.class == ofEvents {
			workers = fetchers
		}
	}
	return entries, workers
}

// lookAll looks at items until they hold maxHeld bytes, and returns at how many.
func (l *listing) lookAll(ctx context.Context, items []*item, workers int) int {
	var group errgroup.Group
	var next, held atomic.Int64
	unpacking := make(chan struct{}, comparers)
	for range min(workers, len(items)) {
		group.Go(func() error {
			for held.Load() < maxHeld {
				n := int(next.Add(1)) - 1
				if n >= len(items) {
					return nil
				}
				if items[n].class == ofEvents {
					l.look(ctx, items[n])
				} else {
					unpacking <- struct{}{}
					l.look(ctx, items[n])
					<-unpacking
				}
				held.Add(int64(len(items[n].data)))
			}
			return nil
		})
	}
	_ = group.Wait()
	return min(int(next.Load()), len(items))
}

// resize chooses how many records to load next, by the size of these.
func (l *listing) resize(items []*item) {
	bytes, most := 0, largestBlind
	for _, i := range items {
		if bytes += i.size; i.class == ofRun {
			most = largestPiece
		}
	}
	l.piece = max(min(maxHeld/(bytes/len(items)+1), 4*l.piece, most), 1)
}

// look evaluates the filter for an item.
func (l *listing) look(ctx context.Context, i *item) {
	if !i.loaded.Loaded() {
		return // deleted since it was found
	}
	data, err := l.data(ctx, i.loaded, i.group, i.class)
	if i.class == ofEvents && isLost(err) {
		data, err = []byte{}, nil // one damaged run must not make the list fail
	}
	if err != nil {
		i.err = fmt.Errorf("read record %s: %w", id(i.entry, i.class), err)
		return
	}
	i.size = len(data)
	env := &recordEnv{group: i.group, class: i.class, entry: i.entry, data: data, fullNames: l.logs}
	if i.match, err = l.filter.Must(ctx, env); err != nil {
		i.err = costly(err)
	}
	if i.match && !l.metadata {
		i.data = data
	}
}
