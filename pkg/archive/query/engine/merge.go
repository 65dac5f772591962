package engine

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/filter"
)

// source is one of the scans that a list merges.
type source struct {
	scan  index.Scan
	ready []index.Entry
	done  bool
}

// merger returns the entries of several scans in order.
type merger struct {
	*listing
	sources []*source
}

func (l *listing) merge(sources []*source) *merger { return &merger{l, sources} }

// maxChunk is how many entries a scan reads at a time.
const maxChunk = 2000

// next returns the next entry, nil at the end. want is about how many will be requested.
func (m *merger) next(ctx context.Context, want int) (*index.Entry, error) {
	var first *source
	for _, s := range m.sources {
		if len(s.ready) == 0 && !s.done {
			if err := m.fill(ctx, s, want); err != nil {
				return nil, err
			}
		}
		if len(s.ready) > 0 && (first == nil || m.order(&s.ready[0], &first.ready[0]) < 0) {
			first = s
		}
	}
	if first == nil {
		return nil, nil
	}
	e := &first.ready[0]
	first.ready = first.ready[1:]
	return e, nil
}

func (m *merger) order(a, b *index.Entry) int {
	n := cmp.Or(cmp.Compare(m.at(a), m.at(b)), strings.Compare(a.UID, b.UID))
	if m.listing.order.Descending {
		return -n
	}
	return n
}

// fill reads the next entries. A position is included in a scan, so the last entry comes again.
func (m *merger) fill(ctx context.Context, s *source, want int) error {
	again := s.scan.Limit > 0
	if !again {
		s.scan.Limit = want + 1
	} else {
		s.scan.Limit = min(4*s.scan.Limit, maxChunk)
	}
	entries, err := m.Entries(ctx, s.scan)
	if err != nil {
		return err
	}
	s.done = len(entries) < s.scan.Limit
	if len(entries) == 0 {
		return nil
	}
	if after := s.scan.After; again && after != nil {
		if p := s.scan.Position(&entries[0]); p == *after {
			entries = entries[1:]
		}
	}
	if len(entries) > 0 {
		last := s.scan.Position(&entries[len(entries)-1])
		s.scan.After = &last
	}
	s.ready = entries
	return nil
}

// sources returns the scans that find the entries. Entries of odd groups are found only by group.
func (l *listing) sources(q *query.List) (sources []*source) {
	from, to := l.bounds()
	needs := l.filter.Needs()
	for _, tool := range []bool{false, true} {
		var plain, odd []int64
		for _, n := range slices.Sorted(maps.Keys(l.groups)) {
			switch g := l.groups[n].group; {
			case g.Tool != tool:
			case g.Odd:
				odd = append(odd, n)
			default:
				plain = append(plain, n)
			}
		}
		base := index.Scan{
			Cluster: l.Cluster, Tool: tool, Updated: l.updated(), Descending: l.order.Descending,
			After: l.after.position(),
		}
		if len(odd) > 0 {
			s := base
			s.Path, s.Groups = index.ByGroup, odd
			sources = append(sources, &source{scan: s})
		}
		if len(plain) > 0 {
			s := base
			s.Groups, s.From, s.To = plain, from, to
			l.path(&s, q, needs)
			sources = append(sources, &source{scan: s})
		}
	}
	return sources
}

// bounds returns the bounds of the creation time, which a run's record has as well.
func (l *listing) bounds() (from, to int64) {
	for _, path := range [][]filter.Step{nil, {{Field: "metadata"}, {Field: "creationTimestamp"}}} {
		variable := "create_time"
		if path != nil {
			variable = "data"
		}
		a, b := l.filter.Between(variable, path...)
		from = max(from, unix(a))
		if t := unix(b); t > 0 && (to == 0 || t < to) {
			to = t
		}
	}
	return from, to
}

func unix(t time.Time) int64 {
	if t.IsZero() || t.Unix() < 0 {
		return 0
	}
	return t.Unix()
}

var (
	labelsPath = at("data", "metadata", "labels")
	uidsPath   = at("data", "metadata", "uid")
	namesPath  = at("data", "metadata", "name")
	logsPath   = at("data", "spec", "resource", "uid")
)

// path chooses how to find entries: by one of some values, if the filter requires that, else by
// group.
func (l *listing) path(s *index.Scan, q *query.List, needs []filter.Need) {
	best := 0
	take := func(value int, path index.Path, texts []string) {
		if value > best {
			best, s.Path, s.Texts = value, path, texts
		}
	}
	for _, need := range needs {
		switch key := need.Key(); {
		case key == uidsPath && !s.Tool && l.only(s, ofRun), key == logsPath && !s.Tool && l.only(s, ofLog),
			key == "name" && !s.Tool && l.only(s, ofRun) && !l.logs:
			take(9, index.ByUID, need.Values)
		case key == "name" && s.Tool && !l.logs:
			take(9, index.ByUID, need.Values)
		case key == namesPath && !s.Tool && l.only(s, ofRun, ofLog):
			take(8, index.ByName, namesOf(need.Values))
		case key == "name" && l.logs:
			if results := resultsOf(need.Values); results != nil {
				take(7, index.ByResult, results)
			}
		case key == "result_name":
			take(7, index.ByResult, need.Values)
		case len(need.Path) == 3 && strings.HasPrefix(key, labelsPath+"\x00") && !need.Path[2].IsIndex &&
			index.IndexedLabel(need.Path[2].Field) && l.only(s, ofRun):
			if best < 6 {
				take(6, index.ByLabel, nil)
				s.Labels, s.AnyGroup = l.labels(s, need), l.all(s)
			}
		}
	}
	if q.Result != "" && q.Result != "-" {
		take(10, index.ByResult, []string{q.Result})
	}
	s.Scopes = l.scopes(s.Groups)
	if best > 0 {
		return
	}
	s.Path = index.ByGroup
	if !s.Tool && !s.Updated && l.all(s) {
		l.wide(s)
	}
}

// only says whether no other class of records is wanted.
func (l *listing) only(s *index.Scan, these ...class) bool {
	for _, n := range s.Groups {
		for _, c := range l.groups[n].classes {
			if !slices.Contains(these, c) {
				return false
			}
		}
	}
	return true
}

// namesOf returns the names of the runs with one of these names, or whose log has one.
func namesOf(names []string) []string {
	all := slices.Clone(names)
	for _, name := range names {
		all = append(all, strings.TrimSuffix(name, logSuffix))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// resultsOf returns the names of the Results in full names of logs, nil if one is no full name.
func resultsOf(names []string) (results []string) {
	for _, name := range names {
		parts := strings.Split(name, "/")
		if len(parts) != 5 {
			return nil
		}
		results = append(results, parts[2])
	}
	return results
}

func (l *listing) labels(s *index.Scan, need filter.Need) []int64 {
	seen := map[string]bool{}
	var labels []int64
	for _, n := range s.Groups {
		namespace := l.groups[n].group.Namespace
		if seen[namespace] {
			continue
		}
		seen[namespace] = true
		for _, value := range need.Values {
			labels = append(labels, index.Label(l.Cluster, namespace, need.Path[2].Field, value))
		}
	}
	return labels
}

func (l *listing) scopes(groups []int64) (scopes []int64) {
	for _, n := range groups {
		scopes = append(scopes, l.groups[n].group.Scope)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// all says whether the groups are all groups of their namespace, or of the cluster if they are of
// several namespaces.
func (l *listing) all(s *index.Scan) bool {
	scopes := map[int64]bool{}
	for _, n := range s.Groups {
		scopes[l.groups[n].group.Scope] = true
	}
	there := 0
	for i := range l.reading.groups {
		if g := &l.reading.groups[i]; g.Tool == s.Tool && (len(scopes) > 1 || scopes[g.Scope]) {
			there++
		}
	}
	return there == len(s.Groups)
}

// wide reads one list instead of merging many.
func (l *listing) wide(s *index.Scan) {
	first := l.groups[s.Groups[0]].group
	for _, n := range s.Groups {
		if l.groups[n].group.Scope != first.Scope {
			s.Path = index.ByCluster
			return
		}
	}
	s.Path, s.Texts = index.ByNamespace, []string{first.Namespace}
}
