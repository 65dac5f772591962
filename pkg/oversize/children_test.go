package oversize

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// A TaskRun may have 1.4 MiB, and a PipelineRun hundreds of them.
func TestChildrenAreReadInPages(t *testing.T) {
	const all, kilobyte = 7, 1000
	largest := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path != "/apis/tekton.dev/v1/namespaces/team/taskruns" ||
			q.Get("labelSelector") != "tekton.dev/pipelineRun=run" {
			t.Errorf("asked for %s", r.URL)
		}
		from, _ := strconv.Atoi(q.Get("continue"))
		limit, _ := strconv.Atoi(q.Get("limit"))
		to, next := from+limit, strconv.Itoa(from+limit)
		if limit == 0 || to >= all {
			to, next = all, ""
		}
		largest = max(largest, to-from)
		var items []string
		for i := from; i < to; i++ {
			items = append(items, fmt.Sprintf(
				`{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"run-%d"},"spec":{"params":[{"name":"a","value":"x"}]},"status":{"results":[{"name":"text","value":%q}]}}`,
				i, strings.Repeat("v", kilobyte)))
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w,
			`{"apiVersion":"tekton.dev/v1","kind":"TaskRunList","metadata":{"continue":%q},"items":[%s]}`,
			next, strings.Join(items,
				","))
	}))
	defer server.Close()
	runs, err := dynamic.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	children, err := Options{Runs: runs}.children(context.Background(), subject{"PipelineRun", "team", "run"})
	if err != nil {
		t.Fatal(err)
	}
	if largest > pageSize {
		t.Errorf("%d TaskRuns were asked for at a time, want at most %d", largest, pageSize)
	}
	if len(children) != all {
		t.Fatalf("%d children, want %d", len(children), all)
	}
	for i, c := range children {
		if c.Metadata.Name != fmt.Sprint("run-", i) || c.Status.Results[0].Value != (value{kilobyte + 2, kilobyte}) ||
			c.Spec.Params != nil {
			t.Errorf("child %d is %+v", i, c)
		}
	}
}
