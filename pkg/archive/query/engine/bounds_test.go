package engine_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// counted is an index that counts the loaded records, and measures the memory before each load.
type counted struct {
	index.Index
	mu          sync.Mutex
	loads, most int
	heap        uint64
}

func (c *counted) Reader(ctx context.Context) (index.Reader, error) {
	r, err := c.Index.Reader(ctx)
	return countedReader{r, c}, err
}

type countedReader struct {
	index.Reader
	*counted
}

func (r countedReader) Load(ctx context.Context, entries []*index.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loads, r.most, r.heap = r.loads+1, max(r.most, len(entries)), max(r.heap, heap())
	return r.Reader.Load(ctx, entries)
}

// heap returns the bytes in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

const mebi = 1 << 20

// crowd is an archive with records of tools in one Result, each of about this many bytes.
func crowd(t *testing.T, records, bytes int) (*place, *counted) {
	t.Helper()
	p := newPlace(t, "sqlite://"+t.TempDir()+"/index.db", 0, nil)
	value := `{"s":"` + strings.Repeat("a", bytes) + `"}`
	var all []object.Object
	for n := range records {
		o := record("tool", fmt.Sprintf("r%03d", n), "big", value, indextest.Created.Add(time.Duration(n)*time.Second))
		o.UID, o.Generation = fmt.Sprintf("00000000-0000-4000-8000-%012d", n), 1
		made, err := p.objects().Create(t.Context(), o)
		must(t, err)
		all = append(all, made)
	}
	must(t, p.index.PutObjects(t.Context(), cluster, all...))
	c := &counted{Index: p.index}
	p.engine = p.engineOf(c)
	return p, c
}

// A page ends at 8 MiB of data, however many records were requested, and the next one continues
// there.
func TestPagesEndAtSomeBytes(t *testing.T) {
	p, c := crowd(t, 60, mebi)
	for _, size := range []int32{0, 50, 5, 1000} {
		q, pages := query.List{Parent: "team-1", Result: "tool", PageSize: size, OrderBy: "create_time asc"}, 0
		for n := 0; ; pages++ {
			page, err := p.engine.ListRecords(t.Context(), q)
			must(t, err)
			bytes := 0
			for _, r := range page.Items {
				if want := fmt.Sprintf("team-1/results/tool/records/r%03d", n); r.GetName() != want {
					t.Fatalf("pages of %d: got %s, want %s", size, r.GetName(), want)
				}
				n++
				bytes += len(r.GetData().GetValue())
			}
			if bytes > 8*mebi || len(page.Items) == 0 {
				t.Fatalf("a page of %d has %d records of %d bytes", size, len(page.Items), bytes)
			}
			if q.PageToken = page.NextPageToken; q.PageToken == "" {
				if n != 60 {
					t.Errorf("pages of %d: %d records", size, n)
				}
				break
			}
		}
	}
	if c.most > 16 {
		t.Errorf("%d large records are loaded at once", c.most)
	}
}

// Data that does not match or is not requested does not stay in memory during a list.
func TestListsKeepNoData(t *testing.T) {
	p, c := crowd(t, 60, mebi)
	for what, test := range map[string]struct {
		q    query.List
		want int
	}{
		"nothing matches":     {query.List{Filter: `data.s == "x"`}, 0},
		"no data is wanted":   {query.List{Filter: `data.s != "x"`, Metadata: true}, 50},
		"many names, no data": {query.List{Filter: `data.s != "x"`, Metadata: true, PageSize: 1000}, 60},
	} {
		c.heap, c.most, c.loads = 0, 0, 0
		before := heap()
		test.q.Parent, test.q.Result = "team-1", "tool"
		page, err := p.engine.ListRecords(t.Context(), test.q)
		if err != nil || len(page.Items) != test.want {
			t.Errorf("%s: %d records, %v", what, len(page.Items), err)
		}
		more := int64(c.heap) - int64(before)
		if more > 8*mebi || c.most > 16 || c.loads < 2 {
			t.Errorf("%s: %d MiB are in memory, %d records are loaded at once", what, more/mebi, c.most)
		}
	}
	c.heap = 0
	before := heap()
	q := query.List{Parent: "team-1", Result: "tool", Filter: `data.s != "x"`}
	sum, err := p.engine.Summarize(t.Context(), query.Summary{List: q})
	if err != nil || sum.GetSummary()[0].AsMap()["total"] != 60.0 {
		t.Errorf("got %v, %v", sum, err)
	}
	if more := int64(c.heap) - int64(before); more > 8*mebi {
		t.Errorf("a summary has %d MiB in memory", more/mebi)
	}
}

// Small records are loaded many at a time.
func TestSmallRecordsAreLoadedTogether(t *testing.T) {
	p, c := crowd(t, 300, 100)
	page, err := p.engine.ListRecords(t.Context(), query.List{Parent: "team-1", Result: "tool", PageSize: 300})
	if err != nil || len(page.Items) != 300 || page.NextPageToken != "" || c.loads > 3 {
		t.Errorf("%d records, %d times, %v", len(page.Items), c.loads, err)
	}
}

// Pages of Results have the same bound.
func TestPagesOfResultsEndAtSomeBytes(t *testing.T) {
	p := newPlace(t, "sqlite://"+t.TempDir()+"/index.db", 0, nil)
	for n := range 20 {
		p.write(t, object.Object{
			Kind: object.Result, Parent: "team-1", Result: fmt.Sprintf("tool-%d", n),
			Created: indextest.Created.Add(time.Duration(n) * time.Second),
			Data:    []byte(`{"annotations":{"a":"` + strings.Repeat("a", mebi) + `"}}`),
		})
	}
	q, names := query.List{Parent: "team-1", PageSize: 1000}, map[string]bool{}
	for {
		page, err := p.engine.ListResults(t.Context(), q)
		must(t, err)
		if n := len(page.Items); n == 0 || n > 8 {
			t.Fatalf("a page has %d Results of a mebibyte", n)
		}
		for _, r := range page.Items {
			names[r.GetName()] = true
		}
		if q.PageToken = page.NextPageToken; q.PageToken == "" {
			break
		}
	}
	if len(names) != 20 {
		t.Errorf("%d Results", len(names))
	}
}

// A run whose commit is damaged or missing has an EventList without data, and does not make lists
// fail.
func TestListsPassOverDamage(t *testing.T) {
	p := newPlace(t, "sqlite://"+t.TempDir()+"/index.db", 10, nil)
	lost := map[string]bool{}
	for n, damage := range map[int]func(key string){
		2: func(key string) { p.Damage(t, key) },
		5: func(key string) { must(t, os.Remove(p.Path(key))) },
	} {
		key, err := p.rows[n].Commit.Key()
		must(t, err)
		damage(key)
		r := p.rows[n].Commit.Run
		events := run.EventListID(r.Result, r.UID)
		lost[nameOf(p.rows[n], events)] = true
		if _, err := p.engine.GetRecord(t.Context(), r.Namespace, r.Result,
			events); status.Code(err) != codes.DataLoss {
			t.Errorf("get: %v", err)
		}
	}
	records := p.all(t, query.List{Parent: "-"})
	if len(records) != 30 {
		t.Errorf("%d records", len(records))
	}
	for _, r := range records {
		if (len(r.GetData().GetValue()) == 0) != lost[r.GetName()] {
			t.Errorf("%s has %q", r.GetName(), r.GetData().GetValue())
		}
	}
	if found := p.all(t, query.List{Parent: "-", Filter: `data.kind == "EventList"`}); len(found) != 8 {
		t.Errorf("%d lists of events are found", len(found))
	}
	none := query.List{Parent: "-", Filter: `data.items.exists(i, i.reason == "nobody's")`}
	if found := p.all(t, none); len(found) != 0 {
		t.Errorf("%d records are found", len(found))
	}
}
