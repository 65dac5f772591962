package run

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// refusing answers each patch with a status: a code and a message.
func refusing(t *testing.T, status func(patch string) (int32, string)) (c *Client, patches func() []string) {
	t.Helper()
	var all []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if r.URL.Query().Get("dryRun") == "All" {
			body = append([]byte("rehearsed "), body...)
		}
		all = append(all, string(body))
		w.Header().Set("Content-Type", "application/json")
		code, message := status(string(body))
		w.WriteHeader(int(code))
		answer := metav1.Status{Status: metav1.StatusFailure, Code: code, Message: message}
		if answer.APIVersion, answer.Kind = "v1", "Status"; code == http.StatusUnprocessableEntity {
			answer.Reason = metav1.StatusReasonInvalid
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	c, err := NewClient(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return c, func() []string { return all }
}

func TestUnprotectWithoutRoomForManagedFields(t *testing.T) {
	c, patches := refusing(t, func(patch string) (int32, string) {
		if strings.Contains(patch, `"managedFields":[{}]`) {
			return 200, ""
		}
		return 500, "etcdserver: request is too large"
	})
	r := &Run{TypeMeta: metav1.TypeMeta{Kind: "TaskRun"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "build", Finalizers: []string{Finalizer, "other"}}}
	if err := c.Unprotect(t.Context(), r); err != nil {
		t.Error(err)
	}
	for _, patch := range patches() {
		if !strings.Contains(patch, `"finalizers":["other"]`) {
			t.Errorf("sent %s", patch)
		}
	}
}

func TestRehearseAndTouch(t *testing.T) {
	const add = `{"metadata":{"annotations":{"indelible.dev/rehearsal":"true"}}}`
	const remove = `{"metadata":{"annotations":{"indelible.dev/rehearsal":null}}}`
	for name, tt := range map[string]struct {
		do        func(*Client, context.Context, Reference) error
		code      int32
		adding    string
		want      []string
		succeeded bool
	}{
		"a rehearsal": {(*Client).Rehearse,
			200, "", []string{"rehearsed " + add}, true},
		"a rehearsal that admission refuses": {(*Client).Rehearse,
			400, "denied", []string{"rehearsed " + add}, false},
		"a rehearsal without room for an annotation": {(*Client).Rehearse,
			422, "too long", []string{"rehearsed " + add, "rehearsed " + remove}, true},
		"a touch": {(*Client).Touch,
			200, "", []string{add, remove}, true},
		"a touch that is refused": {(*Client).Touch,
			400, "denied", []string{add}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, patches := refusing(t, func(patch string) (int32, string) {
				if strings.HasSuffix(patch, add) {
					return tt.code, tt.adding
				}
				return 200, ""
			})
			err := tt.do(c, t.Context(), Reference{Kind: "TaskRun", Namespace: "team", Name: "build"})
			if (err == nil) != tt.succeeded || !slices.Equal(patches(), tt.want) {
				t.Errorf("%v after %q", err, patches())
			}
		})
	}
}

func TestBoundLogs(t *testing.T) {
	part := func(names ...string) (parts []Part) {
		for _, name := range names {
			parts = append(parts, Part{Container: name})
		}
		return parts
	}
	r := &Run{Status: Status{
		RetriesStatus: []Attempt{{PodName: "no pod!"}, {PodName: "one", Steps: part("a", "b")}},
		Attempt:       Attempt{PodName: "two", Steps: part("c", "d", "e")},
	}}
	r.BoundLogs([]int{0, 2})
	var got []string
	for _, a := range r.Attempts() {
		got = append(got, strings.Join(ContainersOf(&a, nil), " "))
	}
	if !slices.Equal(got, []string{"", "c d"}) {
		t.Errorf("got %q", got)
	}
}

// A name that somebody wrote never becomes another path: nothing is sent.
func TestNoRequestForWhatNoRunCanBe(t *testing.T) {
	c, requests := refusing(t, func(string) (int32, string) { return 200, "" })
	for what, ref := range map[string]Reference{
		"no name":                     {"TaskRun", "team", ""},
		"a name that is a path":       {"TaskRun", "team", "../../../taskruns"},
		"a name that is a folder":     {"TaskRun", "team", ".."},
		"a name with a query":         {"TaskRun", "team", "a?watch=1"},
		"a name with upper case":      {"TaskRun", "team", "A"},
		"no namespace":                {"TaskRun", "", "build"},
		"a namespace that is a path":  {"TaskRun", "team/taskruns/x/..", "build"},
		"a namespace that is a name":  {"TaskRun", "a.b", "build"},
		"a kind that is not archived": {"Secret", "team", "build"},
		"no kind":                     {"", "team", "build"},
	} {
		r := &Run{TypeMeta: metav1.TypeMeta{Kind: ref.Kind},
			ObjectMeta: metav1.ObjectMeta{Namespace: ref.Namespace, Name: ref.Name, Finalizers: []string{Finalizer}}}
		for verb, do := range map[string]func() error{
			"get":       func() error { _, err := c.Get(t.Context(), ref); return err },
			"delete":    func() error { _, err := c.Delete(t.Context(), ref, "uid", "1"); return err },
			"change":    func() error { return c.Change(t.Context(), r, map[string]any{}) },
			"unprotect": func() error { return c.Unprotect(t.Context(), r) },
			"rehearse":  func() error { return c.Rehearse(t.Context(), ref) },
			"touch":     func() error { return c.Touch(t.Context(), ref) },
		} {
			if err := do(); !errors.Is(err, ErrNoRun) {
				t.Errorf("%s with %s: %v", verb, what, err)
			}
		}
	}
	if all := requests(); len(all) > 0 {
		t.Errorf("sent %d requests", len(all))
	}
}

// An answer that does not end, as of a list, is not read to its end.
func TestObjectsAreReadUpToABound(t *testing.T) {
	const most = 16 << 20
	sent := make(chan int, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		n := 0
		for some := make([]byte, 1<<20); n < 10*most; n += len(some) {
			if _, err := w.Write(some); err != nil {
				break
			}
		}
		sent <- n
	}))
	defer server.Close()
	c, err := NewClient(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	var tooLarge *http.MaxBytesError
	object, err := c.Get(t.Context(), Reference{"TaskRun", "team", "build"})
	if !errors.As(err, &tooLarge) || len(object) > 0 {
		t.Errorf("got %d bytes, %v", len(object), err)
	}
	if n := <-sent; n > 2*most {
		t.Errorf("%d bytes were sent", n)
	}
}
