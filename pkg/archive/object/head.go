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

// head is the newest generation of a name, as a list of keys says. The zero one is of a name
// without any.
type head struct {
	layout.ObjectKey
	// at is the key's text.
	at   string
	info store.Info
	// mark says that it is a tombstone. In lists a mark comes before its generation: until that
	// comes it is in waiting.
	mark, waiting store.Info
	// older are the generations before, oldest first, with their marks. A mark without its
	// generation is one of them, whatever its number: it says nothing.
	older []store.Info
	// live says that it was read, and is no tombstone.
	live bool
	// name is whose head it is, also if there are but marks.
	name layout.ObjectKey
}

// none says that the name has no generation.
func (h *head) none() bool { return h.at == "" }

// add takes the next key of the list.
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

// end takes note that no generation of the mark has come.
func (h *head) end() {
	h.retire(h.waiting)
	h.waiting = store.Info{}
}

func (h *head) retire(info store.Info) {
	if info.Key != "" {
		h.older = append(h.older, info)
	}
}

// head lists the generations of a name. Of a Record or Log those of the epoch of the key.
func (o *Objects) head(ctx context.Context, k layout.ObjectKey) (head, error) {
	h := head{name: k}
	below := o.cluster.Generations(k)
	for info, err := range o.store.List(ctx, below, "") {
		if err != nil {
			return head{}, fmt.Errorf("list generations: %w", err)
		}
		_, k, err := layout.ParseObject(info.Key)
		if err != nil {
			continue // fsck names it
		}
		h.add(k, info)
	}
	h.end()
	return h, nil
}

// errMoved is of a newest generation that was deleted since it was listed, as there is a newer one.
var errMoved = errors.New("it moves faster than it can be read")

// maxLooks is how often something that moves is looked at again. Each time somebody else has come
// forward.
const maxLooks = 100

// newest returns the head of a name and what it says: nil where there is none, or a mark of a
// tombstone says so.
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

// epoch returns how often the Result of a name was deleted. The error is ErrNotExist if it is
// deleted now: then the number is of what is under it no more.
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

// states remembers which generations are tombstones: what never changes.
type states struct {
	mu      sync.Mutex
	deleted map[string]bool
}

// maxStates bounds it, at some 150 bytes each.
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
