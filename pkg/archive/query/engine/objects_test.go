package engine_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

const cluster = string(indextest.Cluster)

// write writes an object to the bucket and the index.
func (p *place) write(t *testing.T, o object.Object) object.Object {
	t.Helper()
	made, err := p.objects().Create(t.Context(), o)
	must(t, err)
	must(t, p.index.PutObjects(t.Context(), cluster, made))
	return made
}

func (p *place) objects() *object.Objects { return object.New(p.Archive, indextest.Cluster, time.Now) }

func record(result, id, dataType, data string, created time.Time) object.Object {
	return object.Object{Kind: object.Record, Parent: "team-1", Result: result, ID: id, Type: dataType,
		Data: []byte(data), Created: created}
}

func TestObjects(t *testing.T) {
	databases(t, func(t *testing.T, empty func(t *testing.T) string) {
		p := newPlace(t, empty(t), 20, nil)
		at := indextest.Created.Add(2*time.Second + 123*time.Microsecond)
		p.write(t, object.Object{
			Kind: object.Result, Parent: "team-1", Result: "tool", Created: at,
			Data: []byte(
				`{"annotations":{"a":"b"},"summary":{"record":"team-1/results/tool/records/one","type":"tekton.dev/v1.TaskRun","status":"FAILURE","endTime":"2027-01-01T00:00:00Z"}}`),
		})
		one := p.write(t, record("tool", "one", "tekton.dev/v1.TaskRun",
			`{"metadata":{"namespace":"team-1","labels":{"app":"shop"}},"status":{"conditions":[{"reason":"Failed","status":"False"}]}}`,
			at))
		p.write(t, record("tool", "two", "example.com/Note", `["a list"]`, at.Add(time.Microsecond)))
		wantNames(t, p.all(t, query.List{Parent: "team-1", Result: "tool"}),
			[]string{"team-1/results/tool/records/two", "team-1/results/tool/records/one"})
		wantNames(t, p.all(t, query.List{Parent: "-", Filter: `data.metadata.labels["app"] == "shop"`}),
			[]string{"team-1/results/tool/records/one"})
		wantNames(t, p.all(t, query.List{Parent: "-", Filter: `data_type == "example.com/Note"`}),
			[]string{"team-1/results/tool/records/two"})
		wantNames(t, p.all(t, query.List{Parent: "-", Filter: `name == "one"`}),
			[]string{"team-1/results/tool/records/one"})
		got, err := p.engine.GetRecord(t.Context(), "team-1", "tool", "one")
		if err != nil || got.GetEtag() != one.ETag() || got.GetUid() != one.UID ||
			!got.GetCreateTime().AsTime().Equal(at) {
			t.Errorf("got %v, %v", got, err)
		}
		result, err := p.engine.GetResult(t.Context(), "team-1", "tool")
		if err != nil || result.GetAnnotations()["a"] != "b" ||
			result.GetSummary().GetEndTime().AsTime().Year() != 2027 || !result.GetCreateTime().AsTime().Equal(at) {
			t.Errorf("got %v, %v", result, err)
		}
		results, err := p.engine.ListResults(t.Context(), query.List{Parent: "-", OrderBy: "summary.end_time desc",
			PageSize: 5})
		if err != nil || results.Items[0].GetName() != "team-1/results/tool" {
			t.Errorf("got %v, %v", results.Items, err)
		}
		// All are in one list, sorted by creation.
		var want []string
		for _, row := range newest(p.rows) {
			// two runs a second: these were created before
			if row.Commit.Run.UID == newest(p.rows)[len(p.rows)-6].Commit.Run.UID {
				want = append(want, "team-1/results/tool/records/one")
			}
			want = append(want, nameOf(row, row.Commit.Run.UID))
		}
		wantNames(t, p.all(t, query.List{Parent: "-", Filter: `data_type == "tekton.dev/v1.TaskRun"`, PageSize: 5}),
			want)
		sum, err := p.engine.Summarize(t.Context(), query.Summary{List: query.List{Parent: "-",
			Filter: `data_type == "tekton.dev/v1.TaskRun"`}, Summary: "total,failed,succeeded"})
		must(t, err)
		if diff := cmp.Diff(map[string]any{"total": 21.0, "failed": 1.0, "succeeded": 20.0},
			sum.GetSummary()[0].AsMap()); diff != "" {
			t.Error(diff)
		}
		p.checkCounts(t)

		// An update changes the same record; an earlier generation that arrives late is ignored.
		one.Data = []byte(`{"metadata":{"labels":{"app":"bar"}}}`)
		next, err := p.objects().Update(t.Context(), one)
		must(t, err)
		must(t, p.index.PutObjects(t.Context(), cluster, next))
		must(t, p.index.PutObjects(t.Context(), cluster, one))
		wantNames(t, p.all(t, query.List{Parent: "-", Filter: `data.metadata.labels["app"] == "bar"`}),
			[]string{"team-1/results/tool/records/one"})
		wantNames(t, p.all(t, query.List{Parent: "-", Filter: `data.metadata.labels["app"] == "shop"`}), nil)
		p.checkCounts(t)
		p.rebuilt(t, empty(t))

		// Deleting a Result deletes its records.
		name := object.Name{Kind: object.Result, Parent: "team-1", Result: "tool"}
		o, err := p.objects().Get(t.Context(), name)
		must(t, err)
		must(t, p.objects().Delete(t.Context(), name, 0))
		o.Deleted = true
		must(t, p.index.DeleteObjects(t.Context(), cluster, o))
		if _, err := p.engine.GetResult(t.Context(), "team-1", "tool"); status.Code(err) != codes.NotFound {
			t.Errorf("the Result: %v", err)
		}
		if _, err := p.engine.GetRecord(t.Context(), "team-1", "tool", "one"); status.Code(err) != codes.NotFound {
			t.Errorf("its record: %v", err)
		}
		p.checkCounts(t)
		p.rebuilt(t, empty(t))
	})
}

// An archived run hides a tool's record with the same name, or the name of its log, as long as it
// is archived.
func TestArchivedRunsShadowObjects(t *testing.T) {
	databases(t, func(t *testing.T, empty func(t *testing.T) string) {
		p := newPlace(t, empty(t), 12, nil)
		of := p.rows[1].Commit.Run
		must(t, p.index.Delete(t.Context(), cluster, of.UID))
		at := indextest.Created
		logID := run.LogID(of.Result, of.UID)
		p.write(t, record(of.Result, of.UID, "tekton.dev/v1.TaskRun", `{"metadata":{"labels":{"tool":"yes"}}}`, at))
		p.write(t, record(of.Result, logID, "results.tekton.dev/v1alpha3.Log", `{"kind":"Log"}`, at))
		place := query.List{Parent: of.Namespace, Result: of.Result}
		both := []string{nameOf(p.rows[1], logID), nameOf(p.rows[1], of.UID)}
		count := func(want int) {
			t.Helper()
			if got := p.all(t, place); len(got) != want {
				t.Errorf("got %d records: %v", len(got), got)
			}
			p.checkCounts(t)
		}
		count(2)
		must(t, p.index.Put(t.Context(), p.rows[1]))
		count(3)
		got, err := p.engine.GetRecord(t.Context(), of.Namespace, of.Result, of.UID)
		if err != nil || string(got.GetData().GetValue()) != string(p.rows[1].Record) {
			t.Errorf("got %v, %v", got, err)
		}
		wantNames(t, p.all(t, query.List{Parent: "-", Filter: `data.metadata.labels["tool"] == "yes"`}), nil)
		// later than the run
		p.write(t, record(of.Result, run.EventListID(of.Result, of.UID), "results.tekton.dev/v1.EventList", `{}`, at))
		count(3)
		p.rebuilt(t, empty(t))
		must(t, p.index.Delete(t.Context(), cluster, of.UID))
		count(3)
		for _, name := range both {
			found := false
			for _, r := range p.all(t, place) {
				found = found || r.GetName() == name
			}
			if !found {
				t.Errorf("%s is not back", name)
			}
		}
	})
}

func (p *place) checkCounts(t *testing.T) {
	t.Helper()
	if wrong, err := p.index.CheckCounts(t.Context(), false); err != nil || wrong != 0 {
		t.Errorf("%d counts are wrong, %v", wrong, err)
	}
}

// rebuilt compares all lists with those of a rebuilt index.
func (p *place) rebuilt(t *testing.T, url string) {
	t.Helper()
	x, err := index.Open(t.Context(), url)
	must(t, err)
	defer x.Close()
	damaged := func(key string, err error) { t.Errorf("%s: %v", key, err) }
	for range 2 {
		_, err = index.Sync(t.Context(), index.SyncOptions{Store: p.Archive, Index: x, Cluster: indextest.Cluster,
			Damaged: damaged})
		must(t, err)
	}
	q := *p
	q.index = x
	q.engine = q.engineOf(x)
	for _, order := range []string{"create_time desc", "update_time asc"} {
		list := query.List{Parent: "-", OrderBy: order, PageSize: 7}
		if diff := cmp.Diff(fmt.Sprint(p.all(t, list)), fmt.Sprint(q.all(t, list))); diff != "" {
			t.Errorf("by %s: %s", order, diff)
		}
		a, err := p.engine.ListResults(t.Context(), query.List{Parent: "-", OrderBy: order})
		b, err2 := q.engine.ListResults(t.Context(), query.List{Parent: "-", OrderBy: order})
		must(t, errors.Join(err, err2))
		if diff := cmp.Diff(fmt.Sprint(a.Items), fmt.Sprint(b.Items)); diff != "" {
			t.Errorf("Results by %s: %s", order, diff)
		}
	}
	q.checkCounts(t)
}
