package archiver

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
)

// namespaces serves namespaces by name, as an API server does; the selector of a list is ignored.
type namespaces struct {
	t   *testing.T
	all map[string][]byte
}

func (n *namespaces) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	name := path.Base(r.URL.Path)
	switch {
	case name == "namespaces":
		items := []json.RawMessage{}
		for object := range maps.Values(n.all) {
			items = append(items, object)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "v1", "kind": "NamespaceList", "items": items})
		return
	case n.all[name] == nil:
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
		return
	case r.Method == http.MethodPatch:
		body, err := io.ReadAll(r.Body)
		if err == nil {
			n.all[name], err = jsonpatch.MergePatch(n.all[name], body)
		}
		if err != nil {
			n.t.Error(err)
		}
	}
	_, _ = w.Write(n.all[name])
}

// A bypass that is killed does not close. Whoever is next puts back what was there before it.
func TestTektonsAdmissionIsPutBackAfterAKill(t *testing.T) {
	for name, tt := range map[string]struct {
		before string // the metadata, without the name
		killed int    // how many are killed before one ends properly
		open   bool   // whether that one needs the namespace
	}{
		"a namespace without the label":                       {`{}`, 0, true},
		"one without the label, after a kill":                 {`{}`, 1, true},
		"one without the label, after two kills":              {`{}`, 2, true},
		"one that the next does not need":                     {`{}`, 1, false},
		"one that an administrator has excluded":              {`{"labels":{"webhooks.knative.dev/exclude":"true"}}`, 1, true},
		"one with another value, and labels of somebody else": {`{"labels":{"a":"b","webhooks.knative.dev/exclude":""}}`, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			object := func(metadata string) (o map[string]any) {
				if err := json.Unmarshal([]byte(metadata), &o); err != nil {
					t.Fatal(err)
				}
				o["name"] = "team"
				return o
			}
			served := &namespaces{t, map[string][]byte{}}
			served.all["team"], _ = json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Namespace",
				"metadata": object(tt.before)})
			server := httptest.NewServer(served)
			defer server.Close()
			for i := range tt.killed + 1 {
				b, err := newBypass(t.Context(), &rest.Config{Host: server.URL})
				if err != nil {
					t.Fatal(err)
				}
				if i < tt.killed || tt.open {
					if err := b.open(t.Context(), "team"); err != nil {
						t.Fatal(err)
					}
					if !b.isOpen("team") {
						t.Error("it is not open")
					}
				}
				if i == tt.killed {
					if err := b.close(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			var now struct{ Metadata map[string]any }
			if err := json.Unmarshal(served.all["team"], &now); err != nil {
				t.Fatal(err)
			}
			// An empty map says the same as none.
			for _, field := range []string{"labels", "annotations"} {
				if m, ok := now.Metadata[field].(map[string]any); ok && len(m) == 0 {
					delete(now.Metadata, field)
				}
			}
			if diff := cmp.Diff(object(tt.before), now.Metadata); diff != "" {
				t.Errorf("not as before: %s", diff)
			}
		})
	}
}
