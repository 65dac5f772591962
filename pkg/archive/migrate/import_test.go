package migrate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/indelible-ci/indelible/pkg/archive/fsck"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

const (
	cluster   = layout.Cluster("prod")
	resultUID = "11111111-1111-4111-8111-111111111111"
)

// memory is a Tekton Results in memory.
type memory struct {
	results []*pb.Result
	records map[string][]*pb.Record
	logs    map[string]string // by the name of the record
	// dies is the number of Results after which reading fails.
	dies int
}

func (m *memory) Results(_ context.Context, from string) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		before := ""
		for i, r := range m.results {
			if m.dies > 0 && i == m.dies {
				yield(Found{}, errors.New("the connection is gone"))
				return
			}
			if r.GetName() > from && !yield(Found{r, before}, nil) {
				return
			}
			before = r.GetName()
		}
	}
}

func (m *memory) Records(_ context.Context, result *pb.Result, about bool) iter.Seq2[*pb.Record, error] {
	return func(yield func(*pb.Record, error) bool) {
		for _, r := range m.records[result.GetName()] {
			if aboutRun(r.GetData().GetType()) == about && !yield(r, nil) {
				return
			}
		}
	}
}

func (m *memory) Log(_ context.Context, record *pb.Record) (io.ReadCloser, error) {
	text, ok := m.logs[record.GetName()]
	if !ok {
		return nil, ErrNoLog
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func (m *memory) add(result, id, dataType, data string) *pb.Record {
	at := timestamppb.New(time.Date(2026, 3, 1, 10, 0, 0, 123456000, time.UTC))
	if m.records == nil {
		m.records, m.logs = map[string][]*pb.Record{}, map[string]string{}
	}
	if !slices.ContainsFunc(m.results, func(r *pb.Result) bool { return r.GetName() == result }) {
		m.results = append(m.results, &pb.Result{
			Name: result, Uid: resultUID, CreateTime: at, UpdateTime: at, Annotations: map[string]string{"a": "b"},
			Summary: &pb.RecordSummary{Record: result + "/records/" + id, Type: dataType,
				Status: pb.RecordSummary_SUCCESS},
		})
	}
	r := &pb.Record{Name: result + "/records/" + id, Uid: "uid-of-" + id, CreateTime: at, UpdateTime: at,
		Data: &pb.Any{Type: dataType, Value: []byte(data)}}
	m.records[result] = append(m.records[result], r)
	return r
}

func taskRun(uid, status string) string {
	return fmt.Sprintf(
		`{"kind": "TaskRun", "apiVersion": "tekton.dev/v1", "metadata": {"name": "build-%[1]s", "namespace": "team-a", "uid": "%[1]s", `+
			`"creationTimestamp": "2026-03-01T10:00:00Z", "managedFields": [{"a": 1}]}, "status": {"completionTime": "2026-03-01T10:05:00Z", `+
			`"conditions": [{"type": "Succeeded", "status": %q, "reason": "Succeeded"}]}}`, uid, status)
}

func logOf(uid string, size int) string {
	return fmt.Sprintf(
		`{"kind":"Log","apiVersion":"results.tekton.dev/v1alpha3","metadata":{"name":"%[1]s-log","namespace":"team-a","uid":"log-of-%[1]s"},"spec":{"resource":{"kind":"TaskRun","namespace":"team-a","name":"build","uid":"%[1]s"},"type":"File"},"status":{"size":%[2]d,"isStored":true}}`, uid, size)
}

const result = "team-a/results/build-7"

// sample has objects of every kind.
func sample() *memory {
	m := &memory{}
	m.add(result, "uid-1", "tekton.dev/v1.TaskRun", taskRun("uid-1", "True"))
	m.add(result, "uid-2", "tekton.dev/v1.TaskRun", taskRun("uid-2", "Unknown"))
	m.add(result, "uid-3", "tekton.dev/v1.TaskRun", taskRun("uid-3", "False"))
	m.add(result, "uid-4", "tekton.dev/v1.TaskRun", taskRun("other", "True"))
	m.add(result, "report", "example.dev/v1.Report", `{"coverage": 0.9}`)
	m.logs[m.add(result, "log-1", logType, logOf("uid-1", 100_000)).GetName()] = strings.Repeat(
		"[build] a line\n", 7_000)
	m.logs[m.add(result, run.LogID("build-7", "uid-3"), logType, logOf("uid-3", 5)).GetName()] = "short"
	m.logs[m.add(result, "log-2", logType, logOf("uid-2", 5)).GetName()] = "so far"
	m.add(result, run.EventListID("build-7", "uid-1"), eventListType, `{"kind": "EventList", "items": []}`)
	m.add(result, run.EventListID(resultUID, "uid-3"), eventListType, `{"kind": "EventList", "items": [3]}`)
	m.add("team-b/results/x", "report", "example.dev/v1.Report", `null`)
	return m
}

func archiveIn(t *testing.T) (store.Store, *object.Objects) {
	t.Helper()
	s, err := store.NewDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s, object.New(s, cluster, time.Now)
}

func options(m Source, s store.Store, differs *[]string) Options {
	return Options{Source: m, Store: s, Cluster: cluster, Version: "test", Now: time.Now,
		Differs: func(name, how string) { *differs = append(*differs, name+": "+how) }}
}

func TestImport(t *testing.T) {
	m := sample()
	s, o := archiveIn(t)
	var differs []string
	totals, err := Import(t.Context(), options(m, s, &differs))
	want := Totals{Results: 2, Runs: 2, Records: 7, Logs: 3, Stored: 12}
	want.Bytes = totals.Bytes
	if err != nil || totals != want || len(differs) > 0 || totals.Bytes < 100_000 {
		t.Errorf("imported %+v, %v, %q; want %+v", totals, err, differs, want)
	}
	first := commitOf(t, s, "uid-1")
	if first.Run.Result != "build-7" || first.Run.Namespace != "team-a" || first.Run.Completed == nil ||
		first.Run.Status != "True" {
		t.Errorf("committed %+v", first.Run)
	}
	if record := contentOf(t, s, &first.Parts[0]); bytes.Contains(record, []byte("managedFields")) ||
		!bytes.Contains(record, []byte("build-uid-1")) {
		t.Errorf("record %s", record)
	}
	if got := partsOf(first); got != "record log events" ||
		string(contentOf(t, s, &first.Parts[1])) != m.logs[result+"/records/log-1"] {
		t.Errorf("parts %s", got)
	}
	if got := partsOf(commitOf(t, s, "uid-3")); got != "record log events" {
		t.Errorf("parts %s", got)
	}
	var names []string
	for object, err := range o.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, object.Name().String())
		if object.Kind == "Result" &&
			(object.UID != resultUID || !object.Created.Equal(m.results[0].GetCreateTime().AsTime()) ||
				!strings.Contains(string(object.Data), `"SUCCESS"`)) {
			t.Errorf("result %+v", object)
		}
	}
	slices.Sort(names)
	wantNames := []string{
		result, result + "/logs/log-2", result + "/records/" + run.EventListID(resultUID, "uid-3"), result +
			"/records/log-1", result + "/records/log-2",
		result + "/records/report", result + "/records/uid-2", result + "/records/uid-4", "team-b/results/x",
		"team-b/results/x/records/report",
	}
	slices.Sort(wantNames)
	if !slices.Equal(names, wantNames) {
		t.Errorf("objects %q\nwant %q", names, wantNames)
	}
	if totals, err := fsck.Check(t.Context(),
		fsck.Options{Store: s, Cluster: cluster, Now: time.Now(),
			Found: func(f fsck.Finding) { t.Error(f) }}); err != nil || totals.Commits != 2 || totals.Objects != 10 {
		t.Errorf("fsck: %+v, %v", totals, err)
	}
}

// Existing objects are left alone, whatever stored them. A comparison reports differences.
func TestImportAgainAndCompare(t *testing.T) {
	m := sample()
	s, o := archiveIn(t)
	var differs []string
	import1, err := Import(t.Context(), options(m, s, &differs))
	if err != nil {
		t.Fatal(err)
	}
	for _, compare := range []bool{false, true} {
		again := options(m, s, &differs)
		again.Compare = compare
		totals, err := Import(t.Context(), again)
		// with logs of commits
		if err != nil || totals.Stored != 0 || totals.There != import1.Stored+2 || len(differs) > 0 {
			t.Errorf("comparing %t: %+v, %v, %q", compare, totals, err, differs)
		}
	}
	report, err := o.Get(t.Context(),
		object.Name{Kind: object.Record, Parent: "team-a", Result: "build-7", ID: "report"})
	if err != nil {
		t.Fatal(err)
	}
	report.Data = json.RawMessage(`{"coverage":0.1}`)
	if _, err := o.Update(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	m.logs[result+"/records/log-1"] = "other"
	m.add(result, "new", "example.dev/v1.Report", `1`)
	m.add(result, "uid-9", "tekton.dev/v1.TaskRun", taskRun("uid-9", "True"))
	compare := options(m, s, &differs)
	compare.Compare = true
	totals, err := Import(t.Context(), compare)
	slices.Sort(differs)
	want := []string{
		result + "/logs/log-1: the archive has another content", result + "/records/new: it is not in the archive",
		result + "/records/report: the archive has another content", result +
			"/records/uid-9: it is not in the archive",
	}
	if err != nil || totals.Different != 2 || totals.Missing != 2 || !slices.Equal(differs, want) {
		t.Errorf("%+v, %v, %q", totals, err, differs)
	}
}

func TestImportGoesOnWhereItStopped(t *testing.T) {
	m := &memory{}
	for i := range 3 * batch {
		m.add(fmt.Sprintf("team-a/results/r-%04d", i), "report", "example.dev/v1.Report", `1`)
	}
	s, o := archiveIn(t)
	var differs []string
	m.dies = 2*batch + 5
	var position string
	first := options(m, s, &differs)
	first.Progress = func(at string, _ Totals) { position = at }
	if _, err := Import(t.Context(), first); err == nil {
		t.Fatal("it came to the end")
	}
	if want := fmt.Sprintf("team-a/results/r-%04d", 2*batch-1); position != want {
		t.Errorf("position %q, want %q", position, want)
	}
	m.dies = 0
	second := options(m, s, &differs)
	second.From = position
	if totals, err := Import(t.Context(), second); err != nil || totals.Results != batch {
		t.Errorf("%+v, %v; want the last %d results", totals, err, batch)
	}
	n := 0
	for _, err := range o.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 3*batch*2 {
		t.Errorf("%d objects, want %d", n, 3*batch*2)
	}
}

// A log that the source could not return at first is imported later as a Log object. The commit
// does not change.
func TestLogsThatComeLater(t *testing.T) {
	m := sample()
	logs := m.logs
	m.logs = nil
	s, o := archiveIn(t)
	var differs []string
	if _, err := Import(t.Context(), options(m, s, &differs)); err != nil {
		t.Fatal(err)
	}
	if p := commitOf(t, s, "uid-1").Parts[1]; p.State != manifest.Missing || p.Reason == "" {
		t.Errorf("part %+v", p)
	}
	m.logs = logs
	if _, err := Import(t.Context(), options(m, s, &differs)); err != nil {
		t.Fatal(err)
	}
	log, err := o.Get(t.Context(),
		object.Name{Kind: object.Log, Parent: "team-a", Result: "build-7", ID: run.LogID("build-7", "uid-1")})
	if err != nil {
		t.Fatal(err)
	}
	content, err := o.OpenLog(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(content); err != nil || string(text) != logs[result+"/records/log-1"] {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

func commitOf(t *testing.T, s store.Store, uid string) *manifest.Commit {
	t.Helper()
	key, err := cluster.Commit(layout.Run{UID: uid, Created: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	c, err := manifest.Read(t.Context(), s, key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func contentOf(t *testing.T, s store.Store, p *manifest.Part) []byte {
	t.Helper()
	data, err := read(t.Context(), s, p)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func partsOf(c *manifest.Commit) string {
	var types []string
	for i := range c.Parts {
		types = append(types, string(c.Parts[i].Type))
	}
	return strings.Join(types, " ")
}
