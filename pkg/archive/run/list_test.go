package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
)

// Page finds what encoding/json finds.
func TestPage(t *testing.T) {
	items := []string{`{"metadata":{"namespace":"a","name":"one"},"spec":{"x":[1,{"y":"]}"}]}}`,
		` { "metadata" : { "name":"two","namespace":"b"} }`}
	for name, tt := range map[string]struct {
		status      int
		text        string
		names       []string
		next, error string
	}{
		"of two": {200, `{"kind":"TaskRunList","metadata":{"resourceVersion":"7","continue":"more"},"items":[` +
			strings.Join(items, ",") + `]}`, []string{"a/one", "b/two"},
			"more", ""},
		"of none":     {200, `{"items":[],"metadata":{}}`, nil, "", ""},
		"that is cut": {200, `{"items":[` + items[0], nil, "", "malformed JSON"},
		"that is large": {
			200, `{"items":[],"x":"` + strings.Repeat("x", 1000) + `"}`, nil, "", ErrPageTooLarge.Error(),
		},
		"of another day": {410,
			`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,"message":"too old"}`,
			nil,
			"", "too old"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := ""
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = r.URL.String()
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.text)
			}))
			defer server.Close()
			c, err := NewClient(&rest.Config{Host: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			page, next, err := c.Page(t.Context(), "TaskRun", 2, "from", 1000)
			if (err == nil) != (tt.error == "") || err != nil && !strings.Contains(err.Error(), tt.error) {
				t.Fatalf("got %v, want %q", err, tt.error)
			}
			if tt.error == ErrPageTooLarge.Error() && !errors.Is(err, ErrPageTooLarge) {
				t.Error("nobody can tell that it is too large")
			}
			var names []string
			for i, l := range page {
				names = append(names, l.Namespace+"/"+l.Name)
				var got, want any
				if json.Unmarshal(l.Object, &got) != nil || json.Unmarshal([]byte(items[i]), &want) != nil ||
					!cmp.Equal(got, want) {
					t.Errorf("got %s, want %s", l.Object, items[i])
				}
			}
			if diff := cmp.Diff(tt.names, names); diff != "" || next != tt.next {
				t.Errorf("next %q, want %q; %s", next, tt.next, diff)
			}
			if want := "/apis/tekton.dev/v1/taskruns?continue=from&limit=2"; asked != want {
				t.Errorf("asked %s, want %s", asked, want)
			}
		})
	}
}
