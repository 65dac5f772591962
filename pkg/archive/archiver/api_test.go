package archiver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/stay"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// api serves runs by name, and takes patches and deletions. It counts requests by verb.
type api struct {
	t  *testing.T
	mu sync.Mutex
	// objects are the runs' JSON by kind, in the plural, and name: "taskruns/build".
	objects map[string]string
	counts  map[string]int
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts[r.Method]++
	parts := strings.Split(r.URL.Path, "/")
	name := strings.Join(parts[len(parts)-2:], "/")
	object, ok := a.objects[name]
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`))
		return
	}
	if r.Method == http.MethodDelete {
		delete(a.objects, name)
	}
	_, _ = w.Write([]byte(object))
}

// asked returns how many requests of a verb there were since the last call.
func (a *api) asked(verb string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.counts[verb]
	a.counts[verb] = 0
	return n
}

// archiver returns an Archiver on the API server. watched are the runs that the watches have shown;
// nil if they have not begun.
func (a *api) archiver(watched []string, changes ...func(*Options)) *Archiver {
	a.t.Helper()
	a.counts = map[string]int{}
	server := httptest.NewServer(a)
	a.t.Cleanup(server.Close)
	dir, err := store.NewDirectory(a.t.TempDir())
	if err != nil {
		a.t.Fatal(err)
	}
	o := Options{Cluster: layout.Cluster("c"), Store: dir, Config: &rest.Config{Host: server.URL, QPS: -1}, Logs: None,
		Keep: stay.Policies{{Name: "keep"}}, Now: time.Now, Log: logr.Discard()}
	for _, change := range changes {
		change(&o)
	}
	made, err := New(o)
	if err != nil {
		a.t.Fatal(err)
	}
	made.Recent.EndList()
	if watched != nil {
		for range run.Kinds {
			made.Families.Watch(func() bool { return true })
		}
	}
	for _, object := range watched {
		made.Families.Put(watchedRun(a.t, object))
	}
	return made
}

func watchedRun(t *testing.T, object string) *observed.Run {
	t.Helper()
	s := &observed.Run{}
	if err := s.Read([]byte(object)); err != nil {
		t.Fatal(err)
	}
	return s
}

// runOf returns a run's JSON. Its UID is made of uid, and owner is the kind and the uid of its
// owner, or empty. state is works, finished, or archived; unmarked is archived without a mark of
// it.
func runOf(kind, name, uid, owner, state string) string {
	metadata := map[string]any{"name": name, "namespace": "team", "uid": uidOf(uid), "resourceVersion": "1",
		"creationTimestamp": "2026-11-20T10:42:11Z"}
	if owner != "" {
		ownerKind, of, _ := strings.Cut(owner, " ")
		metadata["ownerReferences"] = []any{map[string]any{"apiVersion": "tekton.dev/v1", "kind": ownerKind, "name": of,
			"uid": uidOf(of), "controller": true}}
	}
	status := "True"
	switch state {
	case "works":
		status = "Unknown"
		metadata["finalizers"] = []string{run.Finalizer}
	case "finished":
		metadata["finalizers"] = []string{run.Finalizer}
	case "archived":
		metadata["annotations"] = map[string]string{run.ArchivedAnnotation: "2026-11-20T10:50:00Z",
			run.RecordAnnotation: "team/results/r/records/" + uidOf(uid)}
	}
	object, err := json.Marshal(map[string]any{"apiVersion": "tekton.dev/v1", "kind": kind, "metadata": metadata,
		"status": map[string]any{"conditions": []any{map[string]string{"type": "Succeeded", "status": status}}}})
	if err != nil {
		panic(err)
	}
	return string(object)
}

// uidOf returns a UID that stands for a word.
func uidOf(word string) string {
	return fmt.Sprintf("00000000-0000-4000-8000-%012x", []byte(word + "      ")[:6])
}

// putCommit puts a commit of a run into the archive.
func putCommit(t *testing.T, a *Archiver, object string) {
	t.Helper()
	r, err := run.Parse([]byte(object))
	if err != nil {
		t.Fatal(err)
	}
	u := newUpload(a, r)
	if err := u.record(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := u.commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}
