package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/query/access/accesstest"
)

// call is an RPC about an object of a namespace, which exists or not.
type call struct {
	resource, verb string
	do             func(ctx context.Context, r *rig, of made) error
	// method and path over REST, empty if it has none.
	method string
	path   func(of made) string
}

func resultName(m made) string { return m.namespace + "/results/" + m.resultID() }

// calls are all RPCs.
var calls = map[string]call{
	"GetResult": {"results", "get", func(ctx context.Context, r *rig, m made) error {
		_, err := r.Results.GetResult(ctx, &pb.GetResultRequest{Name: resultName(m)})
		return err
	}, "GET", resultName},
	"ListResults": {"results", "list", func(ctx context.Context, r *rig, m made) error {
		_, err := r.Results.ListResults(ctx, &pb.ListResultsRequest{Parent: m.namespace})
		return err
	}, "GET", func(m made) string { return m.namespace + "/results" }},
	"CreateResult": {"results", "create", func(ctx context.Context, r *rig, m made) error {
		_, err := r.Results.CreateResult(ctx, &pb.CreateResultRequest{Parent: m.namespace,
			Result: &pb.Result{Name: resultName(m)}})
		return err
	}, "POST", func(m made) string { return m.namespace + "/results" }},
	"UpdateResult": {"results", "update", func(ctx context.Context, r *rig, m made) error {
		_, err := r.Results.UpdateResult(ctx, &pb.UpdateResultRequest{Name: resultName(m),
			Result: &pb.Result{Name: resultName(m)}})
		return err
	}, "PATCH", resultName},
	"DeleteResult": {"results", "delete", func(ctx context.Context, r *rig, m made) error {
		_, err := r.Results.DeleteResult(ctx, &pb.DeleteResultRequest{Name: resultName(m)})
		return err
	}, "DELETE", resultName},
	"GetRecord": {"records", "get", func(ctx context.Context, r *rig, m made) error {
		_, err := r.Results.GetRecord(ctx, &pb.GetRecordRequest{Name: m.record()})
		return err
	}, "GET", func(m made) string { return m.record() }},
	"ListRecords": {"records", "list", func(ctx context.Context, r *rig, m made) error {
		_, err := r.Results.ListRecords(ctx, &pb.ListRecordsRequest{Parent: resultName(m)})
		return err
	}, "GET", func(m made) string { return resultName(m) + "/records" }},
	"CreateRecord": {"records", "create", func(ctx context.Context, r *rig, m made) error {
		_, err := r.Results.CreateRecord(ctx, &pb.CreateRecordRequest{Parent: resultName(m),
			Record: &pb.Record{Name: m.record()}})
		return err
	}, "POST", func(m made) string { return resultName(m) + "/records" }},
	"UpdateRecord": {"records", "update", func(ctx context.Context, r *rig, m made) error {
		_, err := r.Results.UpdateRecord(ctx, &pb.UpdateRecordRequest{Record: &pb.Record{Name: m.record()}})
		return err
	}, "PATCH", func(m made) string { return m.record() }},
	"DeleteRecord": {"records", "delete", func(ctx context.Context, r *rig, m made) error {
		_, err := r.Results.DeleteRecord(ctx, &pb.DeleteRecordRequest{Name: m.record()})
		return err
	}, "DELETE", func(m made) string { return m.record() }},
	"GetRecordListSummary": {"records", "get", func(ctx context.Context, r *rig, m made) error {
		_, err := r.Results.GetRecordListSummary(ctx, &pb.RecordListSummaryRequest{Parent: resultName(m),
			Summary: "total"})
		return err
	}, "GET", func(m made) string { return resultName(m) + "/records/summary?summary=total" }},
	"ListLogs": {"logs", "list", func(ctx context.Context, r *rig, m made) error {
		_, err := r.Logs.ListLogs(ctx, &pb.ListRecordsRequest{Parent: resultName(m)})
		return err
	}, "GET", func(m made) string { return resultName(m) + "/logs" }},
	"GetLog": {"logs", "get", func(ctx context.Context, r *rig, m made) error {
		stream, err := r.Logs.GetLog(ctx, &pb.GetLogRequest{Name: m.log()})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}, "GET", func(m made) string { return m.log() }},
	"DeleteLog": {"logs", "delete", func(ctx context.Context, r *rig, m made) error {
		_, err := r.Logs.DeleteLog(ctx, &pb.DeleteLogRequest{Name: m.log()})
		return err
	}, "DELETE", func(m made) string { return m.log() }},
	"UpdateLog": {"logs", "update", func(ctx context.Context, r *rig, m made) error {
		stream, err := r.Logs.UpdateLog(ctx)
		if err == nil {
			_ = stream.Send(&pb.Log{Name: m.log(), Data: []byte("x")})
			_, err = stream.CloseAndRecv()
		}
		return err
	}, "", nil},
}

// Refusals have the same words whether the object exists or not, and unknown callers do not even
// get those. Each RPC needs the same permission as in Tekton Results, and no other suffices.
func TestEveryCallIsRefused(t *testing.T) {
	r := newFullRig(t)
	absent := secret
	absent.uid = uid(99)
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			r := r.of(t)
			denied := call.do(r.As(member), r, secret)
			r.wantCode("what is there", denied, codes.PermissionDenied)
			missing := call.do(r.As(member), r, absent)
			if status.Convert(missing).Message() != status.Convert(denied).Message() {
				t.Errorf("one can tell what is there: %v, %v", denied, missing)
			}
			r.wantCode("no token", call.do(r.As(""), r, failed), codes.Unauthenticated)
			r.wantCode("a forged token", call.do(r.As("forged"), r, failed), codes.Unauthenticated)
			if call.method == "" {
				return
			}
			body := fmt.Sprintf(`{"name": %q}`, strings.Split(call.path(secret), "?")[0])
			if strings.HasPrefix(name, "Create") {
				body = fmt.Sprintf(`{"name": %q}`, map[string]string{"CreateResult": resultName(secret),
					"CreateRecord": secret.record()}[name])
			}
			for token, want := range map[string]int{member: http.StatusForbidden, "": http.StatusUnauthorized,
				"forged": http.StatusUnauthorized} {
				if code, text, _ := r.REST(token, call.method, prefix+call.path(secret), body); code != want ||
					strings.Contains(text, "launch") {
					t.Errorf("REST, token %q: %d %s, want %d", token, code, text, want)
				}
			}
		})
	}
}

func TestEveryCallNeedsItsOwnPermission(t *testing.T) {
	r := newFullRig(t)
	for _, resource := range []string{"results", "records", "logs"} {
		for _, verb := range []string{"get", "list", "create", "update", "delete"} {
			token := verb + "-" + resource
			r.cluster.User(token, token)
			r.cluster.Allow(accesstest.Rule{Who: token, Namespace: "team", Group: "results.tekton.dev",
				Resource: resource, Verb: verb})
		}
	}
	for name, call := range calls {
		for _, resource := range []string{"results", "records", "logs"} {
			for _, verb := range []string{"get", "list", "create", "update", "delete"} {
				may := resource == call.resource && verb == call.verb
				got := status.Code(call.do(r.As(verb+"-"+resource), r, failed))
				if refused := got == codes.PermissionDenied; refused == may {
					t.Errorf("%s with %s on %s: %s", name, verb, resource, got)
				}
			}
		}
	}
}

// Lists over all namespaces have what the caller may list, in full pages, and reveal nothing else.
func TestListsOverAllNamespaces(t *testing.T) {
	r := newFullRig(t)
	for i := range 12 {
		r.add(made{kind: "TaskRun", namespace: "secret", name: fmt.Sprint("launch-", i), uid: uid(100 + i),
			created: 500 + i, status: "True", reason: "Succeeded"})
	}
	const filter = `data_type == TASK_RUN`
	mine := []string{childOne.record(), childTwo.record(), failed.record(), cancelled.record(), elsewhere.record()}
	got, err := r.list(member, "-/results/-", filter, "create_time asc")
	if diff := cmp.Diff(mine, got); err != nil || diff != "" {
		t.Errorf("member: %v %s", err, diff)
	}
	page, err := r.Results.ListRecords(r.As(member), &pb.ListRecordsRequest{Parent: "-/results/-", Filter: filter,
		OrderBy: "create_time desc", PageSize: 5})
	if err != nil || len(page.GetRecords()) != 5 || page.GetNextPageToken() != "" {
		t.Errorf("a page of five is not full, or more is promised: %d records, %q, %v", len(page.GetRecords()),
			page.GetNextPageToken(), err)
	}
	if got, err := r.list(admin, "-/results/-", filter, ""); err != nil || len(got) != 18 {
		t.Errorf("admin: %d records, %v", len(got), err)
	}
	got, err = r.list(robot, "-/results/-", filter, "create_time asc")
	if diff := cmp.Diff(mine[:4], got); err != nil || diff != "" {
		t.Errorf("robot: %v %s", err, diff)
	}
	_, err = r.list(nobody, "-/results/-", filter, "")
	r.wantCode("nobody", err, codes.PermissionDenied)
	results, err := r.Results.ListResults(r.As(robot), &pb.ListResultsRequest{Parent: "-"})
	for _, result := range results.GetResults() {
		if !strings.HasPrefix(result.GetName(), "team/") {
			t.Errorf("robot sees %s", result.GetName())
		}
	}
	if err != nil || len(results.GetResults()) != 3 {
		t.Errorf("%v, %v", results, err)
	}
	logs, err := r.Logs.ListLogs(r.As(member), &pb.ListRecordsRequest{Parent: "-/results/-"})
	for _, log := range logs.GetRecords() {
		if strings.HasPrefix(log.GetName(), "secret/") || !strings.Contains(log.GetName(), "/logs/") {
			t.Errorf("member sees %s", log.GetName())
		}
	}
	if err != nil || len(logs.GetRecords()) == 0 {
		t.Errorf("%v", err)
	}
}

// Attackers who know what they look for cannot find out by filters whether it exists.
func TestFiltersLeaveNoNamespace(t *testing.T) {
	r := newFullRig(t)
	for _, filter := range []string{
		`data.metadata.namespace == "secret"`, `parent == "secret"`, `parent == "team" || parent == "secret"`,
		`true || parent == "secret"`,
		`name == "` + secret.uid + `" || true`, `!(parent == "x")`,
	} {
		for _, parent := range []string{"-/results/-", "team/results/-", "team/results/" + secret.uid} {
			got, err := r.list(member, parent, filter, "")
			if slices.ContainsFunc(got, func(name string) bool { return strings.HasPrefix(name, "secret/") }) {
				t.Errorf("%s %s: %q, %v", parent, filter, got, err)
			}
		}
	}
	_, err := r.list(member, "secret/results/-", "", "")
	r.wantCode("the namespace itself", err, codes.PermissionDenied)
	page, err := r.Results.ListRecords(r.As(admin), &pb.ListRecordsRequest{Parent: "-/results/-", PageSize: 5,
		OrderBy: "create_time desc"})
	r.must(err)
	next, err := r.Results.ListRecords(r.As(member), &pb.ListRecordsRequest{Parent: "-/results/-", PageSize: 100,
		OrderBy: "create_time desc", PageToken: page.GetNextPageToken()})
	for _, record := range next.GetRecords() { // a stolen token gives no more rights
		if strings.HasPrefix(record.GetName(), "secret/") {
			t.Errorf("another's token gives %s, %v", record.GetName(), err)
		}
	}
}

// A cluster that does not answer is no refusal, and no empty list.
func TestClusterAway(t *testing.T) {
	r := newFullRig(t)
	r.cluster.Down(true)
	for name, call := range calls {
		r.wantCode(name, call.do(r.As(member), r, failed), codes.Unavailable)
	}
	_, err := r.list(member, "-/results/-", "", "")
	r.wantCode("list over all", err, codes.Unavailable)
}

// A caller behind a proxy is the one the proxy names, if it may impersonate.
func TestImpersonation(t *testing.T) {
	r := newFullRig(t)
	r.cluster.User("proxy-token", "proxy")
	r.cluster.Allow(accesstest.Rule{Who: "proxy", Verb: "impersonate", Resource: "users", Name: "member"},
		accesstest.Rule{Who: "proxy", Verb: "impersonate", Resource: "groups", Name: "team"})
	get := func(of made, more ...string) error {
		_, err := r.Results.GetRecord(r.As("proxy-token", more...), &pb.GetRecordRequest{Name: of.record()})
		return err
	}
	r.wantCode("as itself", get(failed), codes.PermissionDenied)
	r.wantCode("as a member of the team", get(failed, "impersonate-user", "member", "impersonate-group", "team"),
		codes.OK)
	r.wantCode("what the team may not", get(secret, "impersonate-user", "member", "impersonate-group", "team"),
		codes.PermissionDenied)
	r.wantCode("as whom it may not", get(failed, "impersonate-user", "admin"), codes.PermissionDenied)
	for want, headers := range map[int][]string{
		200: {"Impersonate-User", "member", "Impersonate-Group", "team"},
		403: {"Impersonate-User", "admin"},
		401: {"Impersonate-Group", "team"},
	} {
		if code, text, _ := r.REST("proxy-token", "GET", prefix+failed.record(), "", headers...); code != want {
			t.Errorf("REST %q: %d %s, want %d", headers, code, text, want)
		}
	}
	// A header that grpc-gateway would drop must count: the proxy may do more than the user it
	// impersonates.
	r.cluster.Allow(accesstest.Rule{Who: "proxy", Group: "results.tekton.dev"})
	if code, text, _ := r.REST("proxy-token", "GET", prefix+failed.record(), "", "Impersonate-User",
		"m\u00e9mber"); code != 403 {
		t.Errorf("a name that is not ASCII: %d %s", code, text)
	}
}
