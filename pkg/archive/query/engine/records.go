package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/google/uuid"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/filter"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// ListRecords implements query.Engine.
func (e *Engine) ListRecords(ctx context.Context, q query.List) (query.Page[*pb.Record], error) {
	size, err := pageSize(q.PageSize, minPage)
	if err != nil {
		return query.Page[*pb.Record]{}, err
	}
	return e.listRecords(ctx, &q, &listing{kind: "records", size: size, fields: []string{"create_time", "update_time"}})
}

// ListLogs implements query.Engine. It takes what Tekton Results' own list of logs does: names of filters are whole, and pages may be small.
func (e *Engine) ListLogs(ctx context.Context, q query.List) (query.Page[*pb.Record], error) {
	if q.PageSize < 0 {
		return query.Page[*pb.Record]{}, invalid("PageSize should be greater than 0")
	}
	q.PageSize = min(q.PageSize, maxPage)
	size, err := pageSize(q.PageSize, 1)
	if err != nil {
		return query.Page[*pb.Record]{}, err
	}
	fields := []string{"create_time", "update_time", "created_time", "updated_time"}
	return e.listRecords(ctx, &q, &listing{kind: "logs", size: size, fields: fields, logs: true})
}

// listing is a list of records that is being made.
type listing struct {
	*reading
	kind   string
	size   int
	fields []string
	// logs says that only records of logs are listed.
	logs   bool
	filter *filter.Filter
	order  order
	after  *token
	// groups has those of which entries may match, and the classes that may.
	groups map[int64]*wanted
	// metadata says that no data is wanted.
	metadata bool
	// rows counts what was compared; piece is how many records to load next.
	rows, piece int
}

// wanted is what may match of a group.
type wanted struct {
	group   *index.Group
	classes []class
}

func (e *Engine) listRecords(ctx context.Context, q *query.List, l *listing) (page query.Page[*pb.Record], err error) {
	if l.filter, err = parse(filter.Records, q.Filter); err != nil {
		return page, err
	}
	if l.order, err = parseOrder(q.OrderBy, l.fields...); err != nil {
		return page, err
	}
	list := listID(l.kind, q, l.order)
	if l.after, err = decodeToken(q.PageToken, list); err != nil {
		return page, err
	}
	if l.reading, err = e.begin(ctx); err != nil {
		return page, err
	}
	l.metadata = q.Metadata
	if err := l.choose(ctx, q); err != nil {
		return page, err
	}
	items, more, err := l.list(ctx, q)
	if err != nil {
		return page, unavailable(err)
	}
	if more {
		last := items[len(items)-1]
		page.NextPageToken = token{list, l.at(last.entry), last.entry.UID, last.class}.encode()
	}
	for _, i := range items {
		page.Items = append(page.Items, newRecord(i.group, i.entry, i.class, i.data))
	}
	return page, l.finish(ctx)
}

func (l *listing) updated() bool {
	return l.order.Field == "update_time" || l.order.Field == "updated_time"
}

func (l *listing) at(e *index.Entry) int64 {
	if l.updated() {
		return e.Updated
	}
	return e.Created
}

// choose finds the groups of which entries may match.
func (l *listing) choose(ctx context.Context, q *query.List) error {
	l.groups = map[int64]*wanted{}
	groups, derived := l.inScope(q), l.mayBeDerived()
	for i := range groups {
		g := &groups[i]
		w := &wanted{group: g}
		for _, c := range classes {
			if c != ofRun && (g.Tool || !derived) || l.logs && !isLog(g, c) {
				continue
			}
			may, err := l.filter.May(ctx, &recordEnv{group: g, class: c, fullNames: l.logs})
			if err != nil {
				return costly(err)
			}
			if may {
				w.classes = append(w.classes, c)
			}
		}
		if len(w.classes) > 0 {
			l.groups[g.ID] = w
		}
	}
	return nil
}

// mayBeDerived says whether the filter may match records of logs and events, by their names: these are UUIDs of a version that runs do not have.
func (l *listing) mayBeDerived() bool {
	for _, need := range l.filter.Needs() {
		if need.Key() == "name" && !l.logs && !slices.ContainsFunc(need.Values, isDerived) {
			return false
		}
	}
	return true
}

func isDerived(name string) bool {
	id, err := uuid.Parse(name)
	return err == nil && id.Version() == 3
}

func isLog(g *index.Group, c class) bool {
	t := dataType(g, c)
	return t == logType || t == "results.tekton.dev/v1alpha2.Log"
}

func costly(err error) error {
	if errors.Is(err, filter.ErrCost) {
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	return unavailable(err)
}

// item is a record of a list.
type item struct {
	group *index.Group
	entry *index.Entry
	class class
	// loaded is a copy of the entry that has its record, while that is looked at.
	loaded *index.Entry
	// data is there if the item matches and its data is wanted. size is how large it is in any case.
	data  []byte
	size  int
	match bool
	err   error
}

const (
	// maxPageBytes is when a page is full though more items were asked for, in bytes of data. Who
	// wants the rest has the token (https://google.aip.dev/158: a server may give fewer). An answer
	// over REST is in memory five times.
	maxPageBytes = 8 << 20
	// maxHeld is about how many bytes of records are loaded at a time.
	maxHeld = 4 << 20
	// firstPiece is how many records are loaded when it is not known how large they are,
	// largestPiece how many at most, and largestBlind how many if none is unpacked, so that it
	// stays unknown.
	firstPiece, largestPiece, largestBlind = 16, 512, 128
)

// list returns the items of a page, and whether there are more.
func (l *listing) list(ctx context.Context, q *query.List) (page []*item, more bool, err error) {
	m := l.merge(l.sources(q))
	bytes := 0
	take := func(i *item) bool {
		if more = len(page) == l.size || len(page) > 0 && bytes+len(i.data) > maxPageBytes; more {
			return false
		}
		page, bytes = append(page, i), bytes+len(i.data)
		return true
	}
	for !more {
		want := l.size + 1 - len(page)
		if l.rows > len(page) { // few match: look at many at a time
			want = 4*want + 64
		}
		if l.rows > 0 || !l.asIs() {
			want = min(want, largestPiece)
		}
		items, err := l.next(ctx, m, want)
		if err != nil || len(items) == 0 {
			return page, false, err
		}
		if err := l.compare(ctx, items, take); err != nil {
			return page, false, err
		}
		l.rows += len(items)
	}
	return page, true, nil
}

// asIs says that no record needs to be loaded.
func (l *listing) asIs() bool { return l.metadata && l.filter.All() }

// next returns as many items as are wanted that may match by what their columns say.
func (l *listing) next(ctx context.Context, m *merger, want int) (items []*item, err error) {
	for len(items) < want {
		e, err := m.next(ctx, want)
		if err != nil || e == nil {
			return items, err
		}
		w := l.groups[e.Group]
		if w == nil {
			continue
		}
		for _, c := range w.classes {
			if c == ofLog && !e.HasLog || c == ofEvents && !e.HasEvents || l.before(e, c) {
				continue
			}
			may, err := l.filter.May(ctx, &recordEnv{group: w.group, class: c, entry: e, fullNames: l.logs})
			if err != nil {
				return nil, costly(err)
			}
			if may {
				items = append(items, &item{group: w.group, entry: e, class: c})
			}
		}
	}
	return items, nil
}

// before says whether a record was on a page before.
func (l *listing) before(e *index.Entry, c class) bool {
	return l.after != nil && l.at(e) == l.after.At && e.UID == l.after.UID && c <= l.after.Sub
}

// comparers is how many records are unpacked at a time, fetchers how many are read from the bucket.
const comparers, fetchers = 2, 16

// compare reads the data of items, compares it with the filter, and gives what matches to take,
// until that is false.
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

// cut is how many items to load now: all of an entry's that are side by side.
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

// read looks at items, at the first ones only if they are large, and returns at how many.
func (l *listing) read(ctx context.Context, items []*item) (int, error) {
	if l.asIs() {
		for _, i := range items {
			i.match = true
		}
		return len(items), nil
	}
	// Copies are loaded, so that what is in pages and in sources keeps no records.
	var entries []*index.Entry
	workers := comparers
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
	if err := l.Load(ctx, entries); err != nil {
		return 0, err
	}
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
	done := min(int(next.Load()), len(items))
	l.resize(items[:done])
	for _, i := range items {
		i.loaded = nil
	}
	return done, ctx.Err()
}

// resize chooses how many records to load next by how large these were.
func (l *listing) resize(items []*item) {
	bytes, most := 0, largestBlind
	for _, i := range items {
		if bytes += i.size; i.class == ofRun {
			most = largestPiece
		}
	}
	l.piece = max(min(maxHeld/(bytes/len(items)+1), 4*l.piece, most), 1)
}

func (l *listing) look(ctx context.Context, i *item) {
	if !i.loaded.Loaded() {
		return // it was deleted since it was found
	}
	data, err := l.data(ctx, i.loaded, i.group, i.class)
	if i.class == ofEvents && isLost(err) {
		data, err = []byte{}, nil // one run that is damaged is no reason to refuse all others
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

// isLost says that the bucket has not what was archived, or not any more.
func isLost(err error) bool {
	return errors.Is(err, manifest.ErrDamaged) || errors.Is(err, store.ErrNotExist)
}

// GetRecord implements query.Engine.
func (e *Engine) GetRecord(ctx context.Context, parent, result, record string) (*pb.Record, error) {
	i, err := e.get(ctx, parent, result, record)
	if err != nil {
		return nil, err
	}
	return newRecord(i.group, i.entry, i.class, i.data), nil
}

// Commit implements query.Engine.
func (e *Engine) Commit(ctx context.Context, parent, result, record string) (*manifest.Commit, error) {
	i, err := e.get(ctx, parent, result, record)
	if err != nil {
		return nil, err
	}
	if i.entry.Tool {
		return nil, notFound("archived run of", parent+"/results/"+result+"/records/"+record)
	}
	commit, err := i.entry.Commit()
	return commit, unavailable(err)
}

func (e *Engine) get(ctx context.Context, parent, result, record string) (*item, error) {
	r, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	found, err := r.find(ctx, parent, result, record)
	if err != nil {
		return nil, unavailable(err)
	}
	if found == nil {
		if err := r.finish(ctx); err != nil {
			return nil, err
		}
		return nil, notFound("record", parent+"/results/"+result+"/records/"+record)
	}
	if err := r.Load(ctx, []*index.Entry{found.entry}); err != nil {
		return nil, unavailable(err)
	}
	if !found.entry.Loaded() {
		return nil, notFound("record", parent+"/results/"+result+"/records/"+record)
	}
	found.data, err = r.data(ctx, found.entry, found.group, found.class)
	if found.class == ofEvents && isLost(err) {
		return nil, status.Errorf(codes.DataLoss, "the events of run %s are damaged, or not there any more", found.entry.UID)
	}
	return found, unavailable(err)
}

// find looks for a run by its UID, then for what a tool wrote, and last for the log or the events of a run of the Result.
func (r *reading) find(ctx context.Context, parent, result, record string) (*item, error) {
	runs, tools, scopes := r.split(&query.List{Parent: parent})
	scans := []index.Scan{
		{Path: index.ByUID, Groups: runs, Texts: []string{record}},
		{Path: index.ByUID, Groups: tools, Texts: []string{record}, Tool: true},
		{Path: index.ByResult, Groups: runs, Scopes: scopes, Texts: []string{result}},
	}
	for n, s := range scans {
		if len(s.Groups) == 0 {
			continue
		}
		s.Cluster = r.Cluster
		for {
			s.Limit = 1000
			entries, err := r.Entries(ctx, s)
			if err != nil {
				return nil, err
			}
			for i := range entries {
				if found := r.named(&entries[i], result, record); found != nil {
					return found, nil
				}
			}
			if n < len(scans)-1 || len(entries) < s.Limit {
				break
			}
			last := s.Position(&entries[len(entries)-1])
			s.After = &last
		}
	}
	return nil, nil
}

// named returns which record of an entry has a name.
func (r *reading) named(e *index.Entry, result, record string) *item {
	if e.Result != result {
		return nil
	}
	for _, c := range classes {
		if id(e, c) == record && (c == ofRun || c == ofLog && e.HasLog || c == ofEvents && e.HasEvents) {
			for i := range r.groups {
				if r.groups[i].ID == e.Group {
					return &item{group: &r.groups[i], entry: e, class: c}
				}
			}
		}
	}
	return nil
}

// split returns the numbers of groups in a place.
func (r *reading) split(q *query.List) (runs, tools, scopes []int64) {
	for _, g := range r.inScope(q) {
		if g.Tool {
			tools = append(tools, g.ID)
		} else {
			runs = append(runs, g.ID)
		}
		scopes = append(scopes, g.Scope)
	}
	slices.Sort(scopes)
	return runs, tools, slices.Compact(scopes)
}
