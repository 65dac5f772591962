package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/tektoncd/results/pkg/cli/client"
	"github.com/tektoncd/results/pkg/cli/client/logs"
	"github.com/tektoncd/results/pkg/cli/client/records"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"k8s.io/client-go/transport"
)

// TestTknResults uses the client code of Tekton Results' CLI, with the requests of its commands:
// list, describe and logs of TaskRuns and PipelineRuns.
func TestTknResults(t *testing.T) {
	r := newFullRig(t)
	base, err := url.Parse(r.URL + "/apis/results.tekton.dev/v1alpha2")
	r.must(err)
	c, err := client.NewRESTClient(&client.Config{URL: base, Timeout: time.Minute,
		Transport: &transport.Config{BearerToken: member}})
	r.must(err)
	const listFields = "records.name,records.uid,records.create_time,records.update_time,records.data.value.metadata,records.data.value.status,next_page_token"
	list, err := records.NewClient(c).ListRecords(t.Context(), &pb.ListRecordsRequest{
		Parent: "team/results/-", OrderBy: "create_time desc", PageSize: 50,
		Filter: `(data_type=="tekton.dev/v1.TaskRun" || data_type=="tekton.dev/v1beta1.TaskRun") && data.metadata.labels["tekton.dev/pipelineRun"]=="build-1" && data.metadata.name.contains("build")`,
	}, listFields)
	if err != nil || len(list.GetRecords()) != 2 || list.GetRecords()[0].GetName() != childTwo.record() {
		t.Fatalf("list: %v, %v", list, err)
	}
	var run struct {
		Metadata struct{ Name string }
		Status   struct{ CompletionTime *time.Time }
	}
	r.must(json.Unmarshal(list.GetRecords()[0].GetData().GetValue(), &run))
	if run.Metadata.Name != childTwo.name || run.Status.CompletionTime == nil {
		t.Errorf("list shows %+v", run)
	}
	described, err := records.NewClient(c).GetRecord(t.Context(), "team", failed.uid)
	if err != nil || described.GetName() != failed.record() ||
		described.GetData().GetType() != "tekton.dev/v1.TaskRun" {
		t.Errorf("describe: %v, %v", described, err)
	}
	for name, want := range map[string]string{
		failed.record():     "step-a :-\nfour\n",
		pipelineOK.record(): "build-1-compile step-a :-\none\nbuild-1-compile step-b :-\ntwo\nbuild-1-test step-a :-\nthree\n",
	} {
		reader, err := logs.NewClient(c).GetLog(t.Context(), &pb.GetLogRequest{Name: name})
		r.must(err)
		if text, err := io.ReadAll(reader); err != nil || string(text) != want {
			t.Errorf("logs of %s: %q, %v", name, text, err)
		}
	}
	_, err = records.NewClient(c).GetRecord(t.Context(), "secret", secret.uid)
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Code != http.StatusForbidden {
		t.Errorf("another namespace: %v", err)
	}
}
