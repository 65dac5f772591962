package server

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/protobuf/testing/protocmp"
)

// The expected responses are those of Tekton Results 0.20 (internal/fieldmask).
func TestFields(t *testing.T) {
	const value = `{"kind":"TaskRun","metadata":{"name":"build","labels":{"a":"1","b\"c":"2"}},"status":{"steps":[{"name":"x"}]}}`
	for fields, want := range map[string]*pb.ListRecordsResponse{
		"": {Records: []*pb.Record{{Name: "n", Etag: "e",
			Data: &pb.Any{Type: "t", Value: []byte(value)}}}, NextPageToken: "next"},
		"records.name,next_page_token": {Records: []*pb.Record{{Name: "n"}}, NextPageToken: "next"},
		"records.name":                 {Records: []*pb.Record{{Name: "n"}}},
		"records.data.type":            {Records: []*pb.Record{{Data: &pb.Any{Type: "t"}}}},
		"records.data.value.metadata.name, records.data.value.kind": {
			Records: []*pb.Record{{Data: &pb.Any{Value: []byte(`{"kind":"TaskRun","metadata":{"name":"build"}}`)}}},
		},
		"records.data.value.metadata.labels.a,records.data.value.metadata.labels.b\"c": {
			Records: []*pb.Record{{Data: &pb.Any{Value: []byte(`{"metadata":{"labels":{"a":"1","b\"c":"2"}}}`)}}},
		},
		"records.data.value.spec.params": {Records: []*pb.Record{{Data: &pb.Any{Value: []byte(
			`{"spec":{"params":null}}`)}}}},
		"records.data.value.metadata,records.data.value.metadata.name": {
			Records: []*pb.Record{{Data: &pb.Any{Value: []byte(
				`{"metadata":{"name":"build","labels":{"a":"1","b\"c":"2"}}}`)}}},
		},
		"records.data.value.status.steps": {Records: []*pb.Record{{Data: &pb.Any{Value: []byte(
			`{"status":{"steps":[{"name":"x"}]}}`)}}}},
		"unknown": {},
	} {
		got := &pb.ListRecordsResponse{
			Records:       []*pb.Record{{Name: "n", Etag: "e", Data: &pb.Any{Type: "t", Value: []byte(value)}}},
			NextPageToken: "next",
		}
		parseFields([]string{fields}).filter(got.ProtoReflect())
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("%s: %s", fields, diff)
		}
	}
}

func TestFieldsOfMaps(t *testing.T) {
	got := &pb.Result{Name: "n", Annotations: map[string]string{"a": "1", "b": "2"},
		Summary: &pb.RecordSummary{Type: "t", Record: "r"}}
	parseFields([]string{"annotations.a", "summary.type"}).filter(got.ProtoReflect())
	want := &pb.Result{Annotations: map[string]string{"a": "1"}, Summary: &pb.RecordSummary{Type: "t"}}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestFieldsThatNeedData(t *testing.T) {
	for fields, want := range map[string]bool{
		"": true, "records": true, "records.data": true, "records.data.type": true,
		"records.data.value.metadata.name": true,
		"records.name":                     false, "next_page_token": false, "records.name,records.uid": false,
	} {
		if got := parseFields([]string{fields}).wants("records", "data"); got != want {
			t.Errorf("%q: %v", fields, got)
		}
	}
}

func FuzzFields(f *testing.F) {
	f.Add("records.data.value.a.b,records.name", `{"a":{"b":1}}`)
	f.Add("records.data.value.", `{"":[],"a":"\u00e9"}`)
	f.Fuzz(func(t *testing.T, fields, value string) {
		got := &pb.ListRecordsResponse{Records: []*pb.Record{{Name: "n",
			Data: &pb.Any{Type: "t", Value: []byte(value)}}}}
		parseFields([]string{fields}).filter(got.ProtoReflect())
		for _, record := range got.GetRecords() {
			if out := record.GetData().GetValue(); checkData(&pb.Any{Value: []byte(value)}) == nil && len(out) > 0 &&
				checkData(&pb.Any{Value: out}) != nil {
				t.Errorf("%q becomes %q", value, out)
			}
		}
	})
}

func TestFilterShape(t *testing.T) {
	for filter, want := range map[string]string{
		`data.metadata.name == "secret"`:                            `data.metadata.name == ?`,
		`data.metadata.labels["tekton.dev/pipeline"] != 'secret'`:   `data.metadata.labels[?] != ?`,
		`data_type in ["secret", "s\"ecret"] && name.contains("s")`: `data_type in [?, ?] && name.contains(?)`,
		`size(data.status.steps) > 12.5e3 || x == 0xff`:             `size(data.status.steps) > ?.? || x == ?`,
		`name == "secret`:                          `name == ?`,
		`name == r"sec\" || name == """se"cret"""`: `name == ? || name == ?`,
		`name == b'secret' && TASK_RUN == bar`:     `name == ? && TASK_RUN == bar`,
		`create_time > timestamp("2026")`:          `create_time > timestamp(?)`,
	} {
		if got := filterShape(filter); got != want {
			t.Errorf("%s: %s, want %s", filter, got, want)
		}
	}
}
