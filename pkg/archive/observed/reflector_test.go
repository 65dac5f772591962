package observed

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"weak"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// apiServer lists and watches objects that do not change, in pages or as a stream.
type apiServer struct {
	objects []string
	streams bool
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	query := r.URL.Query()
	switch {
	case query.Get("watch") == "":
		a.page(w, query.Get("continue"), query.Get("limit"))
	case query.Get("sendInitialEvents") == "":
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case !a.streams: // as one that knows no such option
		w.WriteHeader(http.StatusUnprocessableEntity)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
			Status: metav1.StatusFailure, Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity})
	default:
		for _, object := range a.objects {
			_, _ = fmt.Fprintf(w, "{\"type\":\"ADDED\",\"object\":%s}\n", object)
		}
		_, _ = fmt.Fprintln(w, `{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9",`+
			`"annotations":{"k8s.io/initial-events-end":"true"}}}}`)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
}

func (a *apiServer) page(w http.ResponseWriter, next, limit string) {
	from, _ := strconv.Atoi(next)
	most, err := strconv.Atoi(limit)
	if err != nil {
		most = len(a.objects)
	}
	to := min(from+most, len(a.objects))
	after := ""
	if to < len(a.objects) {
		after = strconv.Itoa(to)
	}
	_, _ = fmt.Fprintf(w, `{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"9","continue":%q},"items":[%s]}`,
		after, strings.Join(a.objects[from:to], ","))
}

// each calls do with a reflector of the objects, from an API server that streams lists, and from
// one that does not. do has to set what it wants to know.
func each(t *testing.T, objects []string, decode func([]byte) (k8sruntime.Object, error), nothing k8sruntime.Object,
	do func(t *testing.T, w *Reflector, run func()),
) {
	t.Helper()
	for name, streams := range map[string]bool{"as a stream": true, "in pages": false} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(&apiServer{objects: objects, streams: streams})
			defer server.Close()
			w, err := NewReflector(&rest.Config{Host: server.URL, QPS: -1}, schema.GroupVersionResource{Version: "v1",
				Resource: "events"}, nothing, decode)
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			w.Synced = sync.OnceFunc(stop)
			do(t, w, func() {
				begin, begun := w.Begin, 0
				w.Begin = func() {
					if begin != nil {
						begin()
					}
					if begun++; begun > 3 { // it starts over again and again
						stop()
					}
				}
				w.Run(ctx)
			})
		})
	}
}

// An object that cannot be decoded keeps no other from being seen.
func TestObjectsThatCannotBeDecoded(t *testing.T) {
	objects := []string{
		`{"metadata":{"namespace":"team","name":"first"}}`,
		`{"metadata":{"namespace":"team","name":"poisoned","uid":[]}}`,
		`{"metadata":"poisoned"}`, `"poisoned"`,
		`{"metadata":{"namespace":"team","name":"last"}}`,
	}
	each(t, objects, decodeRun, &Run{}, func(t *testing.T, w *Reflector, run func()) {
		var initial, unreadable []string
		w.Listed = func(object k8sruntime.Object) k8sruntime.Object { return object }
		w.Unreadable = func(name types.NamespacedName) { unreadable = append(unreadable, name.String()) }
		w.Initial = func(all []any) {
			for _, o := range all {
				initial = append(initial, o.(*Run).Name)
			}
		}
		run()
		if len(initial) != 2 || !strings.Contains(strings.Join(initial, " "), "last") {
			t.Errorf("there are %q", initial)
		}
		if got, want := strings.Join(unreadable, " "), "team/poisoned / /"; got != want {
			t.Errorf("left out %q, want %q", got, want)
		}
	})
}

func decodeEvent(object []byte) (k8sruntime.Object, error) {
	s := &Event{}
	return s, s.Read(object)
}

// Of a list of events that does not fit, what Events keeps is all that is in memory: neither the
// reflector nor the list has any, also of other objects.
func TestWhatIsRetainedOfAListOfEvents(t *testing.T) {
	var objects []string
	for i := range 5_000 {
		kind := []string{"TaskRun", "Pod", "Deployment"}[i%3]
		objects = append(objects, fmt.Sprintf(`{"metadata":{"namespace":"team","name":"e-%05d","creationTimestamp":
			"2026-11-20T10:42:11Z"},"involvedObject":{"kind":%q,"namespace":"team","name":"o","uid":"u-%d"},
			"message":%q}`, i, kind, i%10, strings.Repeat("m", 1000)))
	}
	for i := range objects {
		objects[i] = strings.NewReplacer("\n", "", "\t", "").Replace(objects[i])
	}
	each(t, objects, decodeEvent, &Event{}, func(t *testing.T, w *Reflector, run func()) {
		e := NewEvents(func(string) {})
		e.limit = 1 << 20
		listed, left := []weak.Pointer[Event]{}, -1
		w.Begin = e.BeginList
		w.Listed = func(object k8sruntime.Object) k8sruntime.Object {
			listed = append(listed, weak.Make(object.(*Event)))
			e.AddListed(object.(*Event))
			return nil
		}
		w.Initial = func(all []any) {
			e.EndList()
			runtime.GC()
			left = 0
			for _, p := range listed {
				if p.Value() != nil {
					left++
				}
			}
			if len(all) > 0 {
				t.Errorf("the reflector has %d", len(all))
			}
		}
		run()
		// The last one may be in a register still.
		if kept := len(e.byName); len(listed) != len(objects) || kept < 200 || left < kept || left > kept+1 {
			t.Errorf("%d events were listed, %d are kept, and %d in memory", len(listed), kept, left)
		}
		if e.bytes > e.limit {
			t.Errorf("%d bytes are kept", e.bytes)
		}
	})
}

// A list is cut off, or is none.
func TestReadList(t *testing.T) {
	for name, test := range map[string]struct {
		text, want string
		fails      bool
	}{
		"two objects":      {`{"kind":"L","items":[{"a":1},{"b":2}],"metadata":{"continue":"c"},"x":[]}`, `{"a":1}{"b":2}c`, false},
		"none":             {`{"items":null,"metadata":{"continue":"c"}}`, `c`, false},
		"that is cut off":  {`{"metadata":{"continue":"c"},"items":[{"a":1},{"b"`, `{"a":1}c`, true},
		"that has no end":  {`{"metadata":{"continue":"c"},"items":[{"a":1}]`, `{"a":1}c`, true},
		"items that are 7": {`{"items":7}`, ``, true},
		"that is an array": {`[]`, ``, true},
		"that is nothing":  {``, ``, true},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			about, err := ReadList(strings.NewReader(test.text), func(object []byte) { got += string(object) })
			if got += about.Continue; got != test.want || (err != nil) != test.fails {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}
