package object

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// head is the newest generation of a name, according to a listing of keys. It is zero for a name
// without generations.
type head struct {
	layout.ObjectKey
	// at is the key as stored.
	at   string
	info store.Info
	// mark is set if the generation is marked as a tombstone. A mark is listed before its
	// generation; until that is listed, the mark is in waiting.
	mark, waiting store.Info
	// older has the earlier generations, oldest first, with their marks, and marks without a
	// generation, which mean nothing.
	older []store.Info
	// live: the generation was read and is not a tombstone.
	live bool
	// name is the key without numbers, also set if there are only marks.
	name layout.ObjectKey
}

// none reports whether the name has no generation.
func (h *head) none() bool { return h.at == "" }

// add adds the next key of the listing.
func (h *head) add(k layout.ObjectKey, info store.Info) {
	h.name = k
	if k.Gone {
		h.end()
		h.waiting = info
		return
	}
	h.retire(h.info)
	h.retire(h.mark)
	h.ObjectKey, h.at, h.info, h.mark = k, info.Key, info, store.Info{}
	if strings.TrimSuffix(h.waiting.Key, layout.GoneExtension) == strings.TrimSuffix(info.Key, layout.ObjectExtension) {
		h.mark, h.Gone, h.waiting = h.waiting, true, store.Info{}
	}
	h.end()
}

// end is called when the generation of a waiting mark cannot follow any more.
func (h *head) end() {
	h.retire(h.waiting)
	h.waiting = store.Info{}
}

func (h *head) retire(info store.Info) {
	if info.Key != "" {
		h.older = append(h.older, info)
	}
}

// head lists the generations of a name: for a Record or Log those of the key's epoch.
func (o *Objects) head(ctx context.Context, k layout.ObjectKey) (head, error) {
	h := head{name: k}
	below := o.cluster.Generations(k)
	for info, err := range o.store.List(ctx, below, "") {
		if err != nil {
			return head{}, fmt.Errorf("list generations: %w", err)
		}
		_, k, err := layout.ParseObject(info.Key)
		if err != nil {
			continue // reported by fsck
		}
		h.add(k, info)
	}
	h.end()
	return h, nil
}

// errMoved: each generation that was listed as the newest had been deleted when it was read,
// because of newer ones.
var errMoved = errors.New("the object changes faster than it can be read")

// maxLooks bounds repetitions when other writers are faster. Each time at least one of them made
// progress.
const maxLooks = 100

// newest returns the head of a name and its content. The content is nil if there is none, or if it
// is marked as a tombstone.
func (o *Objects) newest(ctx context.Context, k layout.ObjectKey) (head, *file, error) {
	for range maxLooks {
		h, err := o.head(ctx, k)
		if err != nil || h.none() || h.Gone {
			return h, nil, err
		}
		f, err := o.read(ctx, h.at)
		if missing(err) {
			continue
		}
		return h, f, err
	}
	return head{}, nil, errMoved
}

// epoch returns the epoch of a name's Result. If the Result is deleted, the error is ErrNotExist
// and the epoch that of its tombstone.
func (o *Objects) epoch(ctx context.Context, name Name) (int64, error) {
	result := Name{Kind: Result, Parent: name.Parent, Result: name.Result}
	for range maxLooks {
		h, err := o.head(ctx, result.KeyOf())
		if err != nil || h.none() {
			return 0, err
		}
		deleted, ok := h.Gone, h.Gone
		if !ok {
			deleted, ok = o.states.get(h.at)
		}
		if !ok {
			f, err := o.read(ctx, h.at)
			if missing(err) {
				continue
			}
			if err != nil {
				return 0, err
			}
			deleted = f.Deleted
			o.states.put(h.at, deleted)
		}
		if deleted {
			return h.Epoch, fmt.Errorf("%s: %w", result, ErrNotExist)
		}
		return h.Epoch, nil
	}
	return 0, errMoved
}

// states remembers which generations are tombstones. That never changes.
type states struct {
	mu      sync.Mutex
	deleted map[string]bool
}

// maxStates bounds states, at about 150 bytes each.
const maxStates = 16 << 10

func (s *states) get(key string) (deleted, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	deleted, ok = s.deleted[key]
	return deleted, ok
}

func (s *states) put(key string, deleted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deleted == nil || len(s.deleted) >= maxStates {
		s.deleted = map[string]bool{}
	}
	s.deleted[key] = deleted
}
