package archiver

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// A child that this process has committed is not read; any other is.
func TestAwaitChildren(t *testing.T) {
	const parent = `{"apiVersion":"tekton.dev/v1","kind":"PipelineRun","metadata":{"name":"p","namespace":"team","uid":"parent","creationTimestamp":"2026-11-20T10:42:11Z"},
		"status":{"childReferences":[{"kind":"TaskRun","name":"one"}]}}`
	finished := `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"one","namespace":"team","uid":"6e21a8a5-bd27-4f4b-a14b-0f4e4e2c3a11","creationTimestamp":"2026-11-20T10:42:11Z",
		"ownerReferences":[{"apiVersion":"tekton.dev/v1","kind":"PipelineRun","name":"p","uid":"parent"}]},"status":{"conditions":[{"type":"Succeeded","status":"True"}]}}`
	for name, tt := range map[string]struct {
		// committed is the UID of the PipelineRun whose child this process has committed, empty if
		// none.
		committed string
		answer    string
		waits     bool
		asked     int
	}{
		"a child that this process has committed": {committed: "parent", asked: 0},
		"a child of that name of another PipelineRun": {committed: "another", answer: finished, waits: true,
			asked: 1},
		"a child that is finished and not archived": {answer: finished, waits: true, asked: 1},
		"a child that does not exist":               {asked: 1},
		"a run of that name that this PipelineRun did not create": {
			answer: `{"kind":"TaskRun","metadata":{"name":"one","namespace":"team","uid":"x","creationTimestamp":"2026-11-20T10:42:11Z"}}`, asked: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				w.Header().Set("Content-Type", "application/json")
				if tt.answer == "" {
					w.WriteHeader(http.StatusNotFound)
					_, _ = w.Write(
						[]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`))
					return
				}
				_, _ = w.Write([]byte(tt.answer))
			}))
			defer server.Close()
			dir, err := store.NewDirectory(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			a, err := New(Options{Cluster: layout.Cluster("c"), Store: dir, Config: &rest.Config{Host: server.URL},
				Logs: None,
				Now:  time.Now, Log: logr.Discard()})
			if err != nil {
				t.Fatal(err)
			}
			p, err := run.Parse([]byte(parent))
			if err != nil {
				t.Fatal(err)
			}
			if tt.committed != "" {
				child, err := run.Parse([]byte(finished))
				if err != nil {
					t.Fatal(err)
				}
				child.OwnerReferences[0].UID = p.UID
				if tt.committed != string(p.UID) {
					child.OwnerReferences[0].UID = "another"
				}
				a.noteCommitted(child)
			}
			err = a.awaitChildren(t.Context(), p)
			var w *wait
			if errors.As(err, &w) != tt.waits || err != nil && !tt.waits || asked != tt.asked {
				t.Errorf("got %v after %d requests, want that it waits: %v, after %d", err, asked, tt.waits, tt.asked)
			}
		})
	}
}
