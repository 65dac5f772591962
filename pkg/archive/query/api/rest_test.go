package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
)

// A REST response has the protos' field names and no empty fields, as older consoles expect.
func TestRESTJSON(t *testing.T) {
	r := newFullRig(t)
	code, text, header := r.REST(member, http.MethodGet, prefix+failed.record(), "")
	tree := r.Tree(text)
	if code != http.StatusOK || header.Get("Content-Type") != "application/json" || tree["name"] != failed.record() {
		t.Errorf("%d %v %s", code, header, text)
	}
	for _, key := range []string{"create_time", "update_time", "uid", "etag"} {
		if tree[key] == nil {
			t.Errorf("%s is missing in %s", key, text)
		}
	}
	code, text,
		_ = r.REST(member, http.MethodGet, prefix+"team/results/-/records?filter="+url.QueryEscape(`name == "none"`),
		"")
	if code != http.StatusOK || len(r.Tree(text)) != 0 {
		t.Errorf("an empty list: %d %s", code, text)
	}
}

// HTTP codes correspond to gRPC codes.
func TestRESTCodes(t *testing.T) {
	r := newFullRig(t)
	for path, want := range map[string]int{
		failed.record(): 200, "team/results/-/records/" + uid(99): 404, "Team/results/x": 400, "secret/results/" +
			secret.uid: 403,
		"team/results/" + uid(99): 404, "team/nothing": 404, "-/results": 200,
		"team/results/-/records?page_size=-1":             400,
		"team/results/-/records/summary?summary=nonsense": 400, "team/results/-/logs": 200, "team/results/x/logs/" +
			uid(98): 404,
	} {
		if code, text, _ := r.REST(member, http.MethodGet, prefix+path, ""); code != want {
			t.Errorf("%s: %d %s, want %d", path, code, text, want)
		}
	}
	for what, headers := range map[string][]string{"no token": nil, "no bearer": {"Authorization", "Basic x"},
		"a forged token": {"Authorization", "Bearer x"}} {
		if code, text, _ := r.REST("", http.MethodGet, prefix+failed.record(), "", headers...); code != 401 {
			t.Errorf("%s: %d %s", what, code, text)
		}
	}
}

func TestFields(t *testing.T) {
	r := newFullRig(t)
	const want = `{"data":{"value":"eyJtZXRhZGF0YSI6eyJuYW1lIjoibGludC0xIn19"}}` // {"metadata":{"name":"lint-1"}}
	for what, got := range map[string]func() string{
		"query parameter": func() string {
			_, text, _ := r.REST(member, http.MethodGet, prefix+failed.record()+"?fields=data.value.metadata.name", "")
			return text
		},
		"header": func() string {
			_, text, _ := r.REST(member, http.MethodGet, prefix+failed.record(), "", "Fields",
				"data.value.metadata.name")
			return text
		},
	} {
		if text := strings.ReplaceAll(got(), " ", ""); text != want {
			t.Errorf("%s: %s", what, text)
		}
	}
	record, err := r.Results.GetRecord(r.As(member, "fields", "name"), &pb.GetRecordRequest{Name: failed.record()})
	if err != nil || record.GetName() != failed.record() || record.GetData() != nil || record.GetUid() != "" {
		t.Errorf("gRPC: %v, %v", record, err)
	}
}
