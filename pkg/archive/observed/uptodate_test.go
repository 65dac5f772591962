package observed

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// A watch is up to date while it is connected and has had all objects: not before its first list,
// nor while the connection is broken.
func TestReflectorIsUpToDate(t *testing.T) {
	type asked struct {
		answer chan string
		ended  chan struct{}
	}
	requests := make(chan asked)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := asked{make(chan string), make(chan struct{})}
		select {
		case requests <- request:
		case <-t.Context().Done():
			return
		}
		w.Header().Set("Content-Type", "application/json")
		for {
			select {
			case line, more := <-request.answer:
				if !more {
					return
				}
				_, _ = fmt.Fprintln(w, line)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			case <-t.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	w, err := NewReflector(&rest.Config{Host: server.URL, QPS: -1}, run.Resources[0], &Run{},
		func(object []byte) (runtime.Object, error) {
			s := &Run{}
			return s, s.Read(object)
		})
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string)
	w.Initial = func(all []any) { told <- fmt.Sprint("initial ", len(all), " ", w.UpToDate()) }
	w.Synced = func() { told <- fmt.Sprint("synced ", w.UpToDate()) }
	w.Changed = func(o any) { told <- fmt.Sprint(o.(*Run).Name, " ", w.UpToDate()) }
	w.Deleted = func(any) {}
	w.Listed = func(o runtime.Object) runtime.Object { return o }
	go w.Run(t.Context())
	want := func(what string) {
		t.Helper()
		if got := <-told; got != what {
			t.Errorf("told %q, want %q", got, what)
		}
	}
	object := func(name, version string) string {
		return `{"type":"ADDED","object":{"kind":"TaskRun","apiVersion":"tekton.dev/v1","metadata":{"name":"` + name +
			`","namespace":"team","uid":"` + name + `","resourceVersion":"` + version + `"}}}`
	}
	if w.UpToDate() {
		t.Error("before it is connected")
	}
	first := <-requests
	first.answer <- object("a", "5")
	first.answer <- `{"type":"BOOKMARK","object":{"kind":"TaskRun","apiVersion":"tekton.dev/v1",` +
		`"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}}`
	want("initial 1 false")
	want("synced true")
	first.answer <- object("b", "8")
	want("b true")
	close(first.answer)
	second := <-requests // it continues
	if w.UpToDate() {
		t.Error("while the connection is broken")
	}
	second.answer <- object("c", "9")
	want("c true")
}
