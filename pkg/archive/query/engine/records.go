package engine

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/filter"
)

// ListRecords implements query.Engine.
func (e *Engine) ListRecords(ctx context.Context, q query.List) (query.Page[*pb.Record], error) {
	size, err := pageSize(q.PageSize, minPage)
	if err != nil {
		return query.Page[*pb.Record]{}, err
	}
	return e.listRecords(ctx, &q, &listing{kind: "records", size: size, fields: []string{"create_time", "update_time"}})
}

// ListLogs implements query.Engine. Like Tekton Results' list of logs it has full names in filters,
// and accepts small pages.
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

// listing is the state of a list of records.
type listing struct {
	*reading
	kind   string
	size   int
	fields []string
	// logs: only records of logs are listed.
	logs   bool
	filter *filter.Filter
	order  order
	after  *token
	// groups are those of which entries may match.
	groups map[int64]*wanted
	// metadata: no data is wanted.
	metadata bool
	// rows counts the records compared; piece is how many records to load next.
	rows, piece int
}

// wanted is a group with the classes of its records that may match.
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

// mayBeDerived says whether the filter may match records of logs and events by name: these are
// UUIDs of a version that runs do not have.
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
		if l.rows > len(page) { // few match: read many at a time
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

// next returns as many items as are wanted that may match according to their columns.
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

// before says whether a record was on the previous page.
func (l *listing) before(e *index.Entry, c class) bool {
	return l.after != nil && l.at(e) == l.after.At && e.UID == l.after.UID && c <= l.after.Sub
}
