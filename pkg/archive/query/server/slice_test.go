package server

import (
	"strings"
	"testing"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"

	"github.com/indelible-ci/indelible/pkg/archive/index"
)

// add archives the nth run in a namespace, with its step's log in the commit.
func (r *rig) add(n int, namespace, log string) index.Row {
	r.Helper()
	row, _ := r.archive.Add(r, n, func(row *index.Row) {
		row.Record = []byte(strings.ReplaceAll(string(row.Record), row.Commit.Run.Namespace, namespace))
		row.Commit.Run.Namespace = namespace
		part := &row.Commit.Parts[1]
		part.Key, part.Content, part.Stored = "", nil, nil
		if part.SetText([]byte(log), 1<<20) == 0 {
			r.Fatal("the log is not in the commit")
		}
	})
	if err := r.index.Put(r.Context(), row); err != nil {
		r.Fatal(err)
	}
	return row
}

func TestArchivedRun(t *testing.T) {
	r := newRig(t)
	row := r.add(1, "team", "one\ntwo")
	name := record(row).GetName()
	got, err := r.Results.GetRecord(r.As(teamToken), &pb.GetRecordRequest{Name: name})
	if err != nil || string(got.GetData().GetValue()) != string(row.Record) {
		t.Errorf("%v, %v", got, err)
	}
	list, err := r.Results.ListRecords(r.As(teamToken), &pb.ListRecordsRequest{Parent: "team/results/-"})
	if err != nil || len(list.GetRecords()) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	const want = "step-compile :-\none\ntwo\n"
	log, err := r.ReadLog(teamToken, strings.Replace(name, "/records/", "/logs/", 1))
	if err != nil || log != want {
		t.Errorf("%q, %v", log, err)
	}
	code, text, _ := r.REST(teamToken, "GET", prefix+name+"?fields=name,data.value.metadata.uid", "")
	if code != 200 || r.Tree(text)["name"] != name || len(r.Tree(text)) != 2 {
		t.Errorf("%d %s", code, text)
	}
	code, text, header := r.REST(teamToken, "GET", prefix+strings.Replace(name, "/records/", "/logs/", 1), "", "Accept",
		"application/json")
	if code != 200 || text != want || header.Get("Content-Type") != textPlain {
		t.Errorf("%d %q %v", code, text, header)
	}
}
