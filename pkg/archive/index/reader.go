package index

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index/pack"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
)

// Reader is what the query API reads of an index. It knows nothing of filters: it finds entries by what is indexed, and says what its columns say
// of them, so that somebody else decides.
type Reader interface {
	// Groups returns the groups of a cluster, in no order. The caller must not change them.
	Groups(ctx context.Context, cluster string) ([]Group, error)
	// Entries returns entries in order, without their records.
	Entries(ctx context.Context, s Scan) ([]Entry, error)
	// Load reads the records of entries, with their commits if that is asked for.
	Load(ctx context.Context, entries []*Entry) error
	// Results returns Results in order.
	Results(ctx context.Context, s ResultScan) ([]ResultEntry, error)
	// Counts counts entries.
	Counts(ctx context.Context, s CountScan) ([]Count, error)
	// Complete is Index's.
	Complete(ctx context.Context, cluster string) (bool, error)
}

// Group is what entries have in common by which they are listed and counted.
type Group struct {
	ID, Scope                int64
	Cluster, Namespace, Type string
	// Status and Reason are of the first condition, nil where it has none. They mean nothing where Odd.
	Status, Reason *string
	// Odd says that the columns of entries cannot be relied upon: their records must be looked into.
	Odd bool
	// Tool says that the entries are records that tools wrote, and not runs.
	Tool bool
}

// Entry is a run, or a record that a tool wrote.
type Entry struct {
	id int64
	// Group is the number of its group.
	Group     int64
	Tool      bool
	Cluster   string
	Namespace string
	Result    string
	// UID is the run's, or what the record was given. Name is the run's name, or the record's.
	UID, Name string
	// Created and Updated are in microseconds since 1970.
	Created, Updated int64
	// Started and Completed are in seconds since 1970.
	Started, Completed sql.NullInt64
	// HasLog and HasEvents say whether a run has records of its log and events.
	HasLog, HasEvents bool
	// Type, Generation and Key are of a tool's record.
	Type       string
	Generation int64
	Key        string

	packed   stored
	digest   []byte
	database *database
}

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

// Label is what entries with a label are found by in a namespace. Others may be found as well.
func Label(cluster, namespace, key, value string) int64 {
	return pairOf(cluster, namespace, key, value)
}

// IndexedLabel says whether entries can be found by a label.
func IndexedLabel(key string) bool { return !slices.Contains(unindexed, key) }

// groupCache has the groups of all clusters as they were when there were so many.
type groupCache struct {
	mu          sync.Mutex
	count, last int64
	groups      map[string][]Group
}

// Groups implements Reader. Groups are only ever added.
func (d *database) Groups(ctx context.Context, cluster string) ([]Group, error) {
	var count, last int64
	if err := d.read.QueryRowContext(ctx, `SELECT count(*), coalesce(max(id), 0) FROM indelible_groups`).Scan(&count, &last); err != nil {
		return nil, fmt.Errorf("index: count groups: %w", err)
	}
	c := &d.groupCache
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count != count || c.last != last {
		groups, err := d.readGroups(ctx)
		if err != nil {
			return nil, fmt.Errorf("index: read groups: %w", err)
		}
		c.count, c.last, c.groups = count, last, groups
	}
	return c.groups[cluster], nil
}

func (d *database) readGroups(ctx context.Context) (map[string][]Group, error) {
	rows, err := d.read.QueryContext(ctx, `SELECT g.id, g.scope, s.cluster, s.namespace, g.kind, g.status, g.reason, g.tool
		FROM indelible_groups g JOIN indelible_scopes s ON s.id = g.scope ORDER BY g.id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	groups := map[string][]Group{}
	for rows.Next() {
		var g Group
		var status, reason string
		var tool int64
		if err := rows.Scan(&g.ID, &g.Scope, &g.Cluster, &g.Namespace, &g.Type, &status, &reason, &tool); err != nil {
			return nil, err
		}
		g.Tool, g.Odd = tool != 0, status == odd
		g.Status, g.Reason = uncolumn(status), uncolumn(reason)
		groups[g.Cluster] = append(groups[g.Cluster], g)
	}
	return groups, rows.Err()
}

func uncolumn(text string) *string {
	if rest, ok := strings.CutPrefix(text, "="); ok {
		return &rest
	}
	return nil
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

// statement builds one. What the caller gave is only ever in the arguments.
type statement struct {
	text strings.Builder
	args []any
}

func (t *statement) arg(value any) string {
	t.args = append(t.args, value)
	return fmt.Sprint("$", len(t.args))
}

func (t *statement) add(format string, args ...any) { fmt.Fprintf(&t.text, format, args...) }

// scan is the statement of a scan: ids and keys, in order.
func (d *database) scan(s *Scan, streams []int64, b *bound, limit int) (string, []any) {
	t := &statement{}
	n := 0
	if len(streams) > 0 {
		n = d.streamArgs(t, streams)
	}
	key := s.from(d, t, b)
	t.bounds(s, b, key)
	direction := ""
	if s.Descending {
		direction = " DESC"
	}
	order := fmt.Sprintf("2%s", direction)
	if b.tie {
		order = fmt.Sprintf("3%s, 4%s", direction, direction)
	}
	t.add(" ORDER BY %s LIMIT %s", order, t.arg(limit))
	text := t.text.String()
	if len(streams) > 0 {
		last := fmt.Sprint("$", len(t.args))
		text = d.dialect.streams(text, n) + " ORDER BY " + order + " LIMIT " + last
	}
	return text, t.args
}

func (s *Scan) table() string {
	if s.Tool {
		return "indelible_objects"
	}
	return "indelible_runs"
}

// from adds everything up to the conditions of the path, and returns the key's column.
func (s *Scan) from(d *database, t *statement, b *bound) (key string) {
	key, micros := "r.created", "0"
	if s.Updated {
		key = "r.committed"
	}
	if s.Tool && !s.Updated {
		micros = "r.micros"
	}
	tied := "" // what is tied is sorted by what the indexes do not have
	if b.tie {
		tied = fmt.Sprintf(", %s, r.uid", micros)
	}
	groups := func(column string) string { return column + d.dialect.any(t.arg(d.dialect.list(s.Groups)), numbers) }
	if s.Path == ByLabel {
		sign := ""
		if s.Tool {
			sign = "-"
		}
		if !s.Updated {
			key = "l.created"
		}
		t.add("SELECT %sl.run, %s%s FROM indelible_labels l", sign, key, tied)
		if b.tie || s.Updated {
			t.add(" JOIN %s r ON r.id = %sl.run", s.table(), sign)
		}
		t.add(" WHERE l.label = {stream}")
		switch {
		case !s.AnyGroup:
			t.add(" AND %s", groups("l.grp"))
		case s.Tool:
			t.add(" AND l.run < 0")
		default:
			t.add(" AND l.run > 0")
		}
		return key
	}
	t.add("SELECT r.id, %s%s FROM %s r WHERE ", key, tied, s.table())
	texts := func(column string) string { return column + d.dialect.any(t.arg(d.dialect.list(s.Texts)), words) }
	switch s.Path {
	case ByGroup:
		t.add("r.grp = {stream}")
	case ByNamespace:
		t.add("r.namespace = %s AND r.cluster = %s", t.arg(s.Texts[0]), t.arg(s.Cluster))
	case ByCluster:
		t.add("r.cluster = %s", t.arg(s.Cluster))
	case ByUID:
		if s.Tool {
			t.add("%s AND %s", texts("r.name"), groups("r.grp + 0"))
		} else {
			// Of few rows the order costs nothing: the index that has it is hidden.
			t.add("%s AND r.cluster || '' = %s AND %s", texts("r.uid"), t.arg(s.Cluster), groups("r.grp + 0"))
		}
	case ByName:
		t.add("%s AND %s", texts("r.name"), groups("r.grp + 0"))
	case ByResult:
		if s.Tool {
			t.add("r.scope%s AND ", d.dialect.any(t.arg(d.dialect.list(s.Scopes)), numbers))
		}
		t.add("%s AND %s", texts("r.result"), groups("r.grp + 0"))
	}
	return key
}

// bounds adds the conditions of the place in the list.
func (t *statement) bounds(s *Scan, b *bound, key string) {
	created := "r.created"
	if !s.Updated {
		created = key
	}
	if s.From != 0 {
		t.add(" AND %s >= %s", created, t.arg(s.From))
	}
	if s.To != 0 {
		t.add(" AND %s <= %s", created, t.arg(s.To))
	}
	less := ">"
	if s.Descending {
		less = "<"
	}
	if b.behind != nil {
		t.add(" AND %s %s %s", key, less, t.arg(*b.behind))
	}
	if !b.tie {
		return
	}
	t.add(" AND %s = %s", key, t.arg(b.key))
	if b.after == nil {
		return
	}
	_, micros := s.split(b.after.At)
	column := "0"
	if s.Tool && !s.Updated {
		column = "r.micros"
	}
	at := t.arg(micros)
	t.add(" AND (%s %s %s OR %s = %s AND r.uid %s= %s)", column, less, at, column, at, less, t.arg(b.after.UID))
}

const (
	runColumns = `SELECT r.id, r.grp, r.cluster, r.namespace, r.result, r.uid, r.name, r.created, 0, r.committed, r.started, r.completed, r.flags, '', 0, ''
		FROM indelible_runs r WHERE r.id`
	objectColumns = `SELECT o.id, o.grp, s.cluster, s.namespace, o.result, o.uid, o.name, o.created, o.micros, o.committed, o.started, o.completed, o.flags, o.type, o.generation, o.object_key
		FROM indelible_objects o JOIN indelible_scopes s ON s.id = o.scope WHERE o.id`
)

// entries reads the columns of rows, in no order.
func (d *database) entries(ctx context.Context, s *Scan, ids []int64) ([]Entry, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	text := runColumns
	if s.Tool {
		text = objectColumns
	}
	rows, err := d.reads.query(ctx, text+d.dialect.any("$1", numbers), d.dialect.list(ids))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	entries := make([]Entry, 0, len(ids))
	for rows.Next() {
		e := Entry{Tool: s.Tool, database: d}
		var seconds, micros, flags int64
		if err := rows.Scan(&e.id, &e.Group, &e.Cluster, &e.Namespace, &e.Result, &e.UID, &e.Name, &seconds, &micros, &e.Updated,
			&e.Started, &e.Completed, &flags, &e.Type, &e.Generation, &e.Key); err != nil {
			return nil, err
		}
		e.Created = seconds*1e6 + micros
		e.HasLog, e.HasEvents = flags&flagLog != 0, flags&flagEvents != 0
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

const (
	loadRuns = `SELECT r.id, r.manifest, d.data, d.spec, s.digest, s.data FROM indelible_runs r` + joinRecord + ` WHERE r.id`
	loadObjs = `SELECT o.id, o.data, o.data, NULL, NULL, NULL FROM indelible_objects o WHERE o.id`
)

// Load implements Reader. What is gone since it was found has no record then.
func (d *database) Load(ctx context.Context, entries []*Entry) error {
	var runs, objects []*Entry
	for _, e := range entries {
		if e.Tool {
			objects = append(objects, e)
		} else {
			runs = append(runs, e)
		}
	}
	if err := errors.Join(d.load(ctx, loadRuns, runs), d.load(ctx, loadObjs, objects)); err != nil {
		return fmt.Errorf("index: read records: %w", err)
	}
	return nil
}

func (d *database) load(ctx context.Context, text string, entries []*Entry) error {
	if len(entries) == 0 {
		return nil
	}
	byID, ids := make(map[int64]*Entry, len(entries)), make([]int64, len(entries))
	for i, e := range entries {
		byID[e.id], ids[i] = e, e.id
	}
	rows, err := d.reads.query(ctx, text+d.dialect.any("$1", numbers), d.dialect.list(ids))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var s stored
		var digest []byte
		if err := rows.Scan(&id, &s.manifest, &s.record, &s.spec, &digest, &s.specData); err != nil {
			return err
		}
		e := byID[id]
		s.cluster, s.namespace, s.name, s.uid, s.result = e.Cluster, e.Namespace, e.Name, e.UID, e.Result
		s.created, s.completed = truncate(e.Created, 1e6)/1e6, e.Completed
		e.packed, e.digest = s, digest
	}
	return rows.Err()
}

// Loaded says whether the record was there.
func (e *Entry) Loaded() bool { return e.packed.manifest != nil }

// Record unpacks the record of an entry that was loaded.
func (e *Entry) Record() ([]byte, error) {
	record, err := e.record()
	if err != nil {
		return nil, fmt.Errorf("index: record of %s: %w: %w", e.UID, ErrDamaged, err)
	}
	return record, nil
}

func (e *Entry) record() ([]byte, error) {
	s := &e.packed
	if e.Tool {
		return pack.Unpack(s.record)
	}
	if s.record == nil || s.spec.Valid != (s.specData != nil) {
		return nil, errors.New("its record is not there, or not whole")
	}
	rest, err := pack.Unpack(s.record, s.known()...)
	if err != nil || !s.spec.Valid {
		return rest, err
	}
	spec, err := e.database.specCopies.get(e.digest, s.specData)
	if err != nil {
		return nil, err
	}
	return joinSpec(rest, spec)
}

// Commit decodes the commit of a run that was loaded. It is bare.
func (e *Entry) Commit() (*manifest.Commit, error) { return commitOf(&e.packed) }

// specCache keeps copies of Tasks and Pipelines unpacked: a page has few of them, many times.
type specCache struct {
	mu    sync.Mutex
	bytes int
	specs map[string][]byte
}

// maxSpecs bounds the cache, in bytes.
const maxSpecs = 8 << 20

func (c *specCache) get(digest, data []byte) ([]byte, error) {
	c.mu.Lock()
	spec := c.specs[string(digest)]
	c.mu.Unlock()
	if spec != nil {
		return spec, nil
	}
	spec, err := pack.Unpack(data)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bytes += len(spec); c.bytes > maxSpecs || c.specs == nil {
		c.specs, c.bytes = map[string][]byte{}, len(spec)
	}
	c.specs[string(digest)] = spec
	return spec, nil
}

// ResultScan says which Results are wanted.
type ResultScan struct {
	// Scopes are the namespaces' numbers, as groups have them.
	Scopes []int64
	// Names are of Results; nil is any.
	Names []string
	// Order is create_time, update_time, summary.start_time or summary.end_time.
	Order      ResultOrder
	Descending bool
	From, To   int64
	// After continues behind a position.
	After *Position
	Limit int
}

// ResultOrder is what Results are sorted by.
type ResultOrder int

// Orders of Results.
const (
	ResultCreated ResultOrder = iota
	ResultUpdated
	ResultStarted
	ResultEnded
)

// ResultEntry is a Result, with what its summary is about.
type ResultEntry struct {
	Scope            int64
	Cluster, Parent  string
	Name             string
	Created, Updated int64
	Runs             int64
	Annotations      []byte
	// started and ended are what Results are sorted by, in seconds; 0 where there is none.
	started, ended int64
	// Root is the run that the summary is about, nil if there is none.
	Root *RootEntry
	// Object is what a tool wrote, nil if none did.
	Object *ObjectEntry
}

// RootEntry is the run of a Result's summary.
type RootEntry struct {
	UID, Name, Type, Status, Reason string
	Started, Completed              sql.NullInt64
	Annotated                       bool
	packed                          stored
}

// ObjectEntry is what a tool wrote of a Result.
type ObjectEntry struct {
	UID        string
	Generation int64
	Data       []byte
}

// Commit decodes the commit of the run. It is bare.
func (r *RootEntry) Commit() (*manifest.Commit, error) { return commitOf(&r.packed) }

const resultColumns = `SELECT r.scope, s.cluster, s.namespace, r.name, r.created, r.updated, r.runs, r.annotations,
	t.uid, t.name, t.api_version, t.kind, t.status, t.reason, t.created, t.started, t.completed, t.flags, t.manifest,
	o.uid, o.generation, o.data, coalesce(o.started, 0), coalesce(o.completed, 0)
	FROM indelible_results r JOIN indelible_scopes s ON s.id = r.scope
	LEFT JOIN indelible_runs t ON t.id = r.root LEFT JOIN indelible_objects o ON o.id = r.object WHERE `

// Results implements Reader. What many namespaces have is merged by what the indexes have alone, as entries are.
func (d *database) Results(ctx context.Context, s ResultScan) ([]ResultEntry, error) {
	ids, err := d.resultIDs(ctx, &s)
	if err != nil {
		return nil, fmt.Errorf("index: find Results: %w", err)
	}
	all, err := d.resultsOf(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("index: read Results: %w", err)
	}
	slices.SortFunc(all, func(a, b ResultEntry) int {
		n := cmp.Or(cmp.Compare(s.at(&a), s.at(&b)), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Parent, b.Parent))
		if s.Descending {
			return -n
		}
		return n
	})
	return all, nil
}

// resultIDs finds as many as are wanted. Those of one time are sorted by their names, so they are asked for by themselves.
func (d *database) resultIDs(ctx context.Context, s *ResultScan) ([]int64, error) {
	var ids []int64
	var behind *int64
	if s.After != nil {
		found, err := d.resultKeys(ctx, s, &bound{tie: true, key: s.After.At, after: s.After}, s.Limit)
		if err != nil || len(found) >= s.Limit {
			return found.ids(), err
		}
		ids, behind = found.ids(), &s.After.At
	}
	left := s.Limit - len(ids)
	found, err := d.resultKeys(ctx, s, &bound{behind: behind}, left)
	if err != nil || len(found) < left {
		return append(ids, found.ids()...), err
	}
	last := found[len(found)-1].key
	found = slices.DeleteFunc(found, func(c candidate) bool { return c.key == last })
	tied, err := d.resultKeys(ctx, s, &bound{tie: true, key: last}, left-len(found))
	return append(append(ids, found.ids()...), tied.ids()...), err
}

// resultKeys asks all namespaces, and merges what they have.
func (d *database) resultKeys(ctx context.Context, s *ResultScan, b *bound, limit int) (candidates, error) {
	var all []namedCandidate
	for chunk := range slices.Chunk(s.Scopes, maxStreams) {
		found, err := d.resultKeysOf(ctx, s, chunk, b, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.SortStableFunc(all, func(a, b namedCandidate) int {
		n := cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.name, b.name), cmp.Compare(a.parent, b.parent))
		if s.Descending {
			return -n
		}
		return n
	})
	all = all[:min(limit, len(all))]
	found := make(candidates, len(all))
	for i := range all {
		found[i] = all[i].candidate
	}
	return found, nil
}

// namedCandidate has its name where it is tied.
type namedCandidate struct {
	candidate
	name, parent string
}

// resultOrders are what Results are sorted by; for the last two of them no index has it.
var resultOrders = map[ResultOrder]string{
	ResultCreated: "r.created", ResultUpdated: "r.updated",
	ResultStarted: "CASE WHEN r.object = 0 THEN coalesce(t.started, 0) ELSE coalesce(o.started, 0) END * 1000000",
	ResultEnded:   "CASE WHEN r.object = 0 THEN coalesce(t.completed, 0) ELSE coalesce(o.completed, 0) END * 1000000",
}

func (d *database) resultKeysOf(ctx context.Context, s *ResultScan, scopes []int64, b *bound, limit int) (all []namedCandidate, err error) {
	text, args := d.resultScan(s, scopes, b, limit)
	rows, err := d.reads.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c namedCandidate
		if err := rows.Scan(&c.id, &c.key, &c.name, &c.parent); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, rows.Err()
}

func (d *database) resultScan(s *ResultScan, scopes []int64, b *bound, limit int) (string, []any) {
	t := &statement{}
	n := d.streamArgs(t, scopes)
	key := resultOrders[s.Order]
	name := "'', ''"
	if b.tie {
		name = "r.name || '', s.namespace" // or SQLite would go through all names, as they are sorted
	}
	t.add("SELECT r.id, %s, %s FROM indelible_results r", key, name)
	if b.tie {
		t.add(" JOIN indelible_scopes s ON s.id = r.scope")
	}
	if s.Order == ResultStarted || s.Order == ResultEnded {
		t.add(" LEFT JOIN indelible_runs t ON t.id = r.root LEFT JOIN indelible_objects o ON o.id = r.object")
	}
	t.add(" WHERE r.scope = {stream}")
	if s.Names != nil {
		t.add(" AND r.name%s", d.dialect.any(t.arg(d.dialect.list(s.Names)), words))
	}
	if s.From != 0 {
		t.add(" AND r.created >= %s", t.arg(s.From*1e6))
	}
	if s.To != 0 {
		t.add(" AND r.created < %s", t.arg(s.To*1e6+1e6))
	}
	direction, less := "", ">"
	if s.Descending {
		direction, less = " DESC", "<"
	}
	if b.behind != nil {
		t.add(" AND %s %s %s", key, less, t.arg(*b.behind))
	}
	if b.tie {
		t.add(" AND %s = %s", key, t.arg(b.key))
	}
	if b.after != nil {
		name, parent, _ := strings.Cut(b.after.UID, "/")
		at := t.arg(name)
		t.add(" AND (r.name %s %s OR r.name = %s AND s.namespace %s %s)", less, at, at, less, t.arg(parent))
	}
	order := "2" + direction
	if b.tie {
		order = "3" + direction
	}
	t.add(" ORDER BY %s LIMIT %s", order, t.arg(limit))
	return d.dialect.streams(t.text.String(), n), t.args
}

// streamArgs adds the streams' arguments, which come first, and returns how many a statement has.
func (d *database) streamArgs(t *statement, streams []int64) int {
	if d.dialect.name == postgres {
		t.arg(streams)
		return len(streams)
	}
	streams = padded(streams)
	for _, stream := range streams {
		t.arg(stream)
	}
	return len(streams)
}

func (s *ResultScan) at(r *ResultEntry) int64 {
	switch s.Order {
	case ResultCreated:
		return r.Created
	case ResultUpdated:
		return r.Updated
	case ResultStarted:
		return r.started * 1e6
	}
	return r.ended * 1e6
}

// Position is where a Result stands in the list: what is of the same time is sorted by name.
func (s *ResultScan) Position(r *ResultEntry) Position {
	return Position{s.at(r), r.Name + "/" + r.Parent}
}

func (d *database) resultsOf(ctx context.Context, ids []int64) ([]ResultEntry, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := d.reads.query(ctx, resultColumns+"r.id"+d.dialect.any("$1", numbers), d.dialect.list(ids))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []ResultEntry
	for rows.Next() {
		r, err := scanResult(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

func scanResult(rows *sql.Rows) (r ResultEntry, err error) {
	var uid, name, version, kind, status, reason, objectUID sql.NullString
	var created, flags, generation sql.NullInt64
	var root RootEntry
	var commit, data []byte
	err = rows.Scan(&r.Scope, &r.Cluster, &r.Parent, &r.Name, &r.Created, &r.Updated, &r.Runs, &r.Annotations,
		&uid, &name, &version, &kind, &status, &reason, &created, &root.Started, &root.Completed, &flags, &commit, &objectUID, &generation, &data, &r.started, &r.ended)
	if err != nil {
		return r, err
	}
	if uid.Valid {
		root.UID, root.Name, root.Type, root.Status, root.Reason = uid.String, name.String, version.String+"."+kind.String, status.String, reason.String
		root.Annotated = flags.Int64&flagAnnotations != 0
		root.packed = stored{
			cluster: r.Cluster, namespace: r.Parent, name: name.String, uid: uid.String, result: r.Name, created: created.Int64, completed: root.Completed, manifest: commit,
		}
		r.Root = &root
		if !objectUID.Valid {
			r.started, r.ended = root.Started.Int64, root.Completed.Int64
		}
	}
	if objectUID.Valid {
		text, err := pack.Unpack(data)
		if err != nil {
			return r, fmt.Errorf("result %s: %w: %w", r.Name, ErrDamaged, err)
		}
		r.Object = &ObjectEntry{UID: objectUID.String, Generation: generation.Int64, Data: text}
	}
	return r, nil
}

// Micros converts what an entry has.
func Micros(at int64) time.Time { return time.UnixMicro(at).UTC() }

// ETag returns what identifies the state of a tool's record.
func (e *Entry) ETag() string { return (&object.Object{Generation: e.Generation, UID: e.UID}).ETag() }

// ETag returns what identifies the state of a tool's Result.
func (o *ObjectEntry) ETag() string {
	return (&object.Object{Generation: o.Generation, UID: o.UID}).ETag()
}
