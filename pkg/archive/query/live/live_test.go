package live

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/query/server"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// A namespace of a cluster: the PipelineRun p1 created the TaskRuns b and a, b first; x has no
// PipelineRun, and its status names a pod that is not its own.
const (
	taskRunA = `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"a","namespace":"team","uid":"ua","creationTimestamp":"2026-11-20T10:00:02Z",
		"ownerReferences":[{"apiVersion":"tekton.dev/v1","kind":"PipelineRun","name":"p","uid":"p1","controller":true}]},
		"status":{"podName":"a-pod","steps":[{"name":"one","container":"step-one","running":{}},{"name":"two","container":"step-two","running":{}}]}}`
	taskRunB = `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"b","namespace":"team","uid":"ub","creationTimestamp":"2026-11-20T10:00:01Z",
		"ownerReferences":[{"apiVersion":"tekton.dev/v1","kind":"PipelineRun","name":"p","uid":"p1","controller":true}]},
		"status":{"podName":"b-pod","steps":[{"name":"one","container":"step-one","terminated":{}}]}}`
	taskRunX = `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"x","namespace":"team","uid":"ux","creationTimestamp":"2026-11-20T10:00:03Z"},
		"status":{"podName":"secret-pod","steps":[{"name":"one","container":"step-one","running":{}}]}}`
	pipelineRun = `{"apiVersion":"tekton.dev/v1","kind":"PipelineRun","metadata":{"name":"p","namespace":"team","uid":"p1","creationTimestamp":"2026-11-20T10:00:00Z"}}`
)

func fakeCluster(t *testing.T) *Logs {
	t.Helper()
	mux := http.NewServeMux()
	say := func(path, text string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			text := text
			if strings.HasSuffix(path, "/log") {
				text = strings.ReplaceAll(text, "CONTAINER", r.URL.Query().Get("container"))
			} else {
				w.Header().Set("Content-Type", "application/json")
			}
			_, _ = io.WriteString(w, text)
		})
	}
	list := func(items ...string) string {
		return `{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadataList","items":[` +
			strings.Join(items, ",") + `]}`
	}
	pod := func(name, owner string) string {
		return `{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":{"name":"` + name +
			`","ownerReferences":[{"apiVersion":"tekton.dev/v1","kind":"TaskRun","name":"n","uid":"` + owner +
			`","controller":true}]}}`
	}
	const tekton, core = "/apis/tekton.dev/v1/namespaces/team/", "/api/v1/namespaces/team/pods/"
	say(tekton+"taskruns", list(taskRunA, taskRunB, taskRunX))
	say(tekton+"pipelineruns", list(pipelineRun))
	for name, text := range map[string]string{"a": taskRunA, "b": taskRunB, "x": taskRunX} {
		say(tekton+"taskruns/"+name, text)
	}
	say(core+"a-pod", pod("a-pod", "ua"))
	say(core+"b-pod", pod("b-pod", "ub"))
	say(core+"secret-pod", pod("secret-pod", "another"))
	say(core+"a-pod/log", "CONTAINER of a\n")
	say(core+"b-pod/log", "CONTAINER of b\n")
	say(core+"secret-pod/log", "secret\n")
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure",
			"reason": "NotFound", "code": 404})
	})
	listening := httptest.NewServer(mux)
	t.Cleanup(listening.Close)
	l, err := New(&rest.Config{Host: listening.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLogs(t *testing.T) {
	for what, test := range map[string]struct {
		namespace, result, id string
		want                  string
		err                   error
	}{
		"a TaskRun by its UID, of a step that runs": {"team", "p1", "ua", "/step-one: step-one of a\n",
			nil},
		"a TaskRun by its log's name": {"team", "p1", run.LogID("p1", "ua"),
			"/step-one: step-one of a\n", nil},
		"a PipelineRun: its TaskRuns in the order of their ages": {"team", "p1", "p1",
			"b/step-one: step-one of b\na/step-one: step-one of a\n", nil},
		"another Result has no such run":                  {"team", "p2", "ua", "", server.ErrNoLog},
		"another namespace has no such run":               {"other", "p1", "ua", "", server.ErrNoLog},
		"a pod that is not the TaskRun's own is not read": {"team", "ux", "ux", "", nil},
	} {
		t.Run(what, func(t *testing.T) {
			var got strings.Builder
			for container, err := range fakeCluster(t).Logs(t.Context(), test.namespace, test.result, test.id) {
				if err != nil {
					if !errors.Is(err, test.err) {
						t.Errorf("error %v, want %v", err, test.err)
					}
					return
				}
				text, err := io.ReadAll(container.Content)
				if err != nil {
					t.Error(err)
				}
				_ = container.Content.Close()
				got.WriteString(container.Run + "/" + container.Name + ": " + string(text))
			}
			if got.String() != test.want || test.err != nil {
				t.Errorf("%q, want %q, %v", got.String(), test.want, test.err)
			}
		})
	}
}
