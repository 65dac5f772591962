package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
)

// Path is how entries are found.
type Path int

// Paths. What is looked up is in Scan.Groups for ByGroup, Scan.Labels for ByLabel, else Scan.Texts.
const (
	ByGroup Path = iota
	ByLabel
	// ByNamespace lists all runs of the namespace in Texts, ByCluster all runs. Both ignore Groups.
	ByNamespace
	ByCluster
	// ByUID finds runs by UID, and records of tools by name. ByName finds runs by name, ByResult
	// both by their Result's name.
	ByUID
	ByName
	ByResult
)

// Scan says which entries are wanted.
type Scan struct {
	Cluster string
	// Tool lists records of tools instead of runs.
	Tool bool
	Path Path
	// Groups are the groups of the entries. AnyGroup: do not check the group, other entries may be
	// returned too.
	Groups   []int64
	AnyGroup bool
	Scopes   []int64
	Texts    []string
	Labels   []int64
	// From and To bound the creation time, in seconds since 1970, both included; 0 is no bound.
	From, To int64
	// Updated sorts by the last change instead of the creation. Descending puts the latest first.
	Updated, Descending bool
	// After continues at a position, whose entry is included.
	After *Position
	// Limit is how many entries to return. Fewer are returned only if there are no more.
	Limit int
}

// Position is the place of an entry in a list: microseconds, then UID.
type Position struct {
	At  int64
	UID string
}

// Entries implements Reader. Many streams are merged by what is in database indexes; rows are read
// only of the entries returned.
func (d *database) Entries(ctx context.Context, s Scan) ([]Entry, error) {
	ids, err := d.candidates(ctx, &s)
	if err != nil {
		return nil, fmt.Errorf("index: find entries: %w", err)
	}
	entries, err := d.entries(ctx, &s, ids)
	if err != nil {
		return nil, fmt.Errorf("index: read entries: %w", err)
	}
	s.sort(entries)
	return entries, nil
}

// sort sorts entries in the order of the list.
func (s *Scan) sort(entries []Entry) {
	slices.SortFunc(entries, func(a, b Entry) int {
		n := cmp.Or(cmp.Compare(s.at(&a), s.at(&b)), cmp.Compare(a.UID, b.UID))
		if s.Descending {
			return -n
		}
		return n
	})
}

func (s *Scan) at(e *Entry) int64 {
	if s.Updated {
		return e.Updated
	}
	return e.Created
}

// Position returns the place of an entry in the list.
func (s *Scan) Position(e *Entry) Position { return Position{s.at(e), e.UID} }

// candidate is an entry known only by id and sort key: its second or microsecond.
type candidate struct{ id, key int64 }

// candidates finds as many ids as are wanted. Entries with the same key are sorted by columns that
// are not in the database index, so those at both ends of the page are queried separately.
func (d *database) candidates(ctx context.Context, s *Scan) ([]int64, error) {
	var ids []int64
	var behind *int64
	if s.After != nil {
		key, _ := s.split(s.After.At)
		found, err := d.candidateKeys(ctx, s, &bound{tie: true, key: key, after: s.After}, s.Limit)
		if err != nil {
			return nil, err
		}
		ids, behind = found.ids(), &key
	}
	if len(ids) >= s.Limit {
		return ids, nil
	}
	left := s.Limit - len(ids)
	found, err := d.candidateKeys(ctx, s, &bound{behind: behind}, left)
	if err != nil || len(found) < left {
		return append(ids, found.ids()...), err
	}
	last := found[len(found)-1].key
	found = slices.DeleteFunc(found, func(c candidate) bool { return c.key == last })
	tied, err := d.candidateKeys(ctx, s, &bound{tie: true, key: last}, left-len(found))
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

// split returns the key of the database index, and the microseconds beyond it.
func (s *Scan) split(at int64) (key, micros int64) {
	if s.Updated {
		return at, 0
	}
	return truncate(at, 1e6) / 1e6, at - truncate(at, 1e6)
}

// bound says which keys are wanted: those behind one, or with tie those equal to it, sorted by UID.
type bound struct {
	behind *int64
	tie    bool
	key    int64
	after  *Position
}

// maxStreams is how many streams one statement merges. SQLite limits it.
const maxStreams = 128

func (d *database) candidateKeys(ctx context.Context, s *Scan, b *bound, limit int) (candidates, error) {
	streams := s.streams()
	if streams == nil {
		return d.queryKeys(ctx, s, nil, b, limit)
	}
	var all candidates
	for chunk := range slices.Chunk(streams, maxStreams) {
		found, err := d.queryKeys(ctx, s, chunk, b, limit)
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
	if b.tie { // they are sorted by UID
		entries, err := d.entries(ctx, s, all.ids())
		if err != nil {
			return nil, err
		}
		s.sort(entries)
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

// streams returns the streams to merge, nil for a single list.
func (s *Scan) streams() []int64 {
	switch s.Path {
	case ByGroup:
		return s.Groups
	case ByLabel:
		return s.Labels
	}
	return nil
}

// queryKeys runs one statement, for at most maxStreams streams.
func (d *database) queryKeys(
	ctx context.Context, s *Scan, streams []int64, b *bound, limit int,
) (found candidates, err error) {
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
