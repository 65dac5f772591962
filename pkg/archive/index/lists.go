package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
)

// Path is what entries are found by.
type Path int

// Paths. Values are the groups' own for ByGroup; labels of Scan.Labels for ByLabel; Scan.Texts for others.
const (
	ByGroup Path = iota
	ByLabel
	// ByNamespace is of runs of the one namespace in Texts, and ByCluster of all, whatever their groups.
	ByNamespace
	ByCluster
	// ByUID finds runs by UID, and records of tools by their names; ByName runs by name; ByResult by the Result's name.
	ByUID
	ByName
	ByResult
)

// Scan says which entries are wanted.
type Scan struct {
	Cluster string
	// Tool asks for records of tools, and not for runs.
	Tool bool
	Path Path
	// Groups are those that entries may be of. AnyGroup says that it is not worth looking: others may be found as well.
	Groups   []int64
	AnyGroup bool
	Scopes   []int64
	Texts    []string
	Labels   []int64
	// From and To bound the creation, in seconds since 1970, both included; 0 is no bound.
	From, To int64
	// Updated orders by the time of the last change, and not by creation; Descending has the latest first.
	Updated, Descending bool
	// After continues at a position, which is included.
	After *Position
	// Limit is how many are wanted; there are no more if there are fewer.
	Limit int
}

// Position is where an entry stands in a list: microseconds, then UID.
type Position struct {
	At  int64
	UID string
}

// Entries implements Reader. What many streams have is merged by what the indexes have alone; rows are read of those that are wanted.
func (d *database) Entries(ctx context.Context, s Scan) ([]Entry, error) {
	ids, err := d.candidates(ctx, &s)
	if err != nil {
		return nil, fmt.Errorf("index: find entries: %w", err)
	}
	entries, err := d.entries(ctx, &s, ids)
	if err != nil {
		return nil, fmt.Errorf("index: read entries: %w", err)
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		n := cmp.Or(cmp.Compare(s.at(&a), s.at(&b)), cmp.Compare(a.UID, b.UID))
		if s.Descending {
			return -n
		}
		return n
	})
	return entries, nil
}

func (s *Scan) at(e *Entry) int64 {
	if s.Updated {
		return e.Updated
	}
	return e.Created
}

// Position is where an entry stands in the list.
func (s *Scan) Position(e *Entry) Position { return Position{s.at(e), e.UID} }

// candidate is an entry of which no more is known than where it stands, by its second or microsecond.
type candidate struct{ id, key int64 }

// candidates finds as many as are wanted. Those of one second are sorted by what is not in the index, so they are asked for by themselves.
func (d *database) candidates(ctx context.Context, s *Scan) ([]int64, error) {
	var ids []int64
	var behind *int64
	if s.After != nil {
		key, _ := s.split(s.After.At)
		found, err := d.find1(ctx, s, &bound{tie: true, key: key, after: s.After}, s.Limit)
		if err != nil {
			return nil, err
		}
		ids, behind = found.ids(), &key
	}
	if len(ids) >= s.Limit {
		return ids, nil
	}
	left := s.Limit - len(ids)
	found, err := d.find1(ctx, s, &bound{behind: behind}, left)
	if err != nil || len(found) < left {
		return append(ids, found.ids()...), err
	}
	last := found[len(found)-1].key
	found = slices.DeleteFunc(found, func(c candidate) bool { return c.key == last })
	tied, err := d.find1(ctx, s, &bound{tie: true, key: last}, left-len(found))
	return append(append(ids, found.ids()...), tied.ids()...), err
}

type candidates []candidate

func (c candidates) ids() []int64 {
	ids := make([]int64, len(c))
	for i := range c {
		ids[i] = c[i].id
	}
	return ids
}

// split returns what the index is sorted by, and the microseconds beyond it.
func (s *Scan) split(at int64) (key, micros int64) {
	if s.Updated {
		return at, 0
	}
	return truncate(at, 1e6) / 1e6, at - truncate(at, 1e6)
}

// bound says which keys are wanted: those behind one, or those equal to it, sorted by UID.
type bound struct {
	behind *int64
	tie    bool
	key    int64
	after  *Position
}

// maxStreams is how many streams one statement of SQLite merges.
const maxStreams = 128

func (d *database) find1(ctx context.Context, s *Scan, b *bound, limit int) (candidates, error) {
	streams := s.streams()
	if streams == nil {
		return d.find2(ctx, s, nil, b, limit)
	}
	var all candidates
	for chunk := range slices.Chunk(streams, maxStreams) {
		found, err := d.find2(ctx, s, chunk, b, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	if len(streams) > maxStreams {
		return d.merge(ctx, s, all, b, limit)
	}
	return all, nil
}

// merge takes the first of several sorted lists.
func (d *database) merge(ctx context.Context, s *Scan, all candidates, b *bound, limit int) (candidates, error) {
	if b.tie { // their order is by UID
		entries, err := d.entries(ctx, s, all.ids())
		if err != nil {
			return nil, err
		}
		slices.SortFunc(entries, func(a, b Entry) int {
			n := cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.UID, b.UID))
			if s.Descending {
				return -n
			}
			return n
		})
		all = all[:0]
		for _, e := range entries {
			all = append(all, candidate{e.id, b.key})
		}
	} else {
		slices.SortStableFunc(all, func(a, b candidate) int {
			if s.Descending {
				return cmp.Compare(b.key, a.key)
			}
			return cmp.Compare(a.key, b.key)
		})
	}
	return all[:min(limit, len(all))], nil
}

// streams are what is merged; nil where it is one list.
func (s *Scan) streams() []int64 {
	switch s.Path {
	case ByGroup:
		return s.Groups
	case ByLabel:
		return s.Labels
	}
	return nil
}

// find2 runs one statement.
func (d *database) find2(ctx context.Context, s *Scan, streams []int64, b *bound, limit int) (found candidates, err error) {
	text, args := d.scan(s, streams, b, limit)
	rows, err := d.reads.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var c candidate
		to := []any{&c.id, &c.key}
		if b.tie {
			to = append(to, new(int64), new(string))
		}
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		found = append(found, c)
	}
	return found, rows.Err()
}
