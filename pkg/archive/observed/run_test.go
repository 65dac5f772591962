package observed

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// The oracle of the reduced run is what run.Parse makes of the whole object.
func TestSightingSaysWhatTheRunSays(t *testing.T) {
	for name, object := range map[string]string{
		"a finished run": `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"build","namespace":"team","uid":"u1","creationTimestamp":"2026-11-20T10:42:11Z","managedFields":[{"manager":"x"}],
			"finalizers":["a"]},"spec":{"future":[1.5]},"status":{"podName":"p","completionTime":"2026-11-20T10:43:00Z","conditions":[{"type":"Succeeded","status":"False","reason":"Failed"}]}}`,
		"a running one":                   `{"kind":"TaskRun","metadata":{"name":"a","namespace":"n","uid":"u","creationTimestamp":"2026-11-20T10:42:11Z","finalizers":["indelible.dev/archive"]},"status":{"podName":"p","steps":[{"container":"step-a","running":{}}],"conditions":[{"type":"Succeeded","status":"Unknown"}]}}`,
		"a released one":                  `{"kind":"TaskRun","metadata":{"name":"a","namespace":"n","uid":"u","creationTimestamp":"2026-11-20T10:42:11Z","annotations":{"indelible.dev/archived":"2026-11-20T10:50:00Z","results.tekton.dev/record":"n/results/r/records/u"}}}`,
		"one with another run's marks":    `{"kind":"TaskRun","metadata":{"name":"a","namespace":"n","uid":"u","creationTimestamp":"2026-11-20T10:42:11Z","annotations":{"indelible.dev/archived":"2026-11-20T10:50:00Z","results.tekton.dev/record":"n/results/r/records/v"}}}`,
		"one of a PipelineRun's":          `{"kind":"TaskRun","metadata":{"name":"a","namespace":"n","uid":"u","creationTimestamp":"2026-11-20T10:42:11Z","ownerReferences":[{"apiVersion":"tekton.dev/v1","kind":"PipelineRun","name":"p","uid":"w","controller":true}]}}`,
		"one marked, and protected again": `{"kind":"TaskRun","metadata":{"name":"a","namespace":"n","uid":"u","creationTimestamp":"2026-11-20T10:42:11Z","finalizers":["indelible.dev/archive"],"annotations":{"indelible.dev/archived":"2026-11-20T10:50:00Z"}}}`,
		"one left alone":                  `{"kind":"TaskRun","metadata":{"name":"a","namespace":"n","uid":"u","creationTimestamp":"2026-11-20T10:42:11Z","annotations":{"indelible.dev/archive":"disabled"},"labels":{"indelible.dev/archiver":"x"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			r, err := run.Parse([]byte(object))
			if err != nil {
				t.Fatal(err)
			}
			s := &Run{}
			if err := s.Read([]byte(object)); err != nil {
				t.Fatal(err)
			}
			got := []any{s.Foreign, s.owned, s.Finished, s.Protected, s.Archived, s.OptedOut, s.Class,
				s.Reference(), s.UID,
				string(s.Object)}
			want := []any{len(r.ForeignMarks()) > 0, r.Owned(), r.Finished(), r.Protected(), r.Archived(), r.OptedOut(),
				r.Labels[run.ClassLabel], r.Reference(), r.UID, object}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whoever may write a spec or a status writes anything into it. The oracle is run.Parse, which says
// what happens to such a run once it is read by itself.
func TestSightingOfARunWithAnythingInIt(t *testing.T) {
	const right = `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"a","namespace":"n","uid":"u",
		"creationTimestamp":"2026-11-20T10:42:11Z","finalizers":["indelible.dev/archive"]},"spec":SPEC,"status":STATUS}`
	for name, test := range map[string]struct {
		spec, status string
		finished     bool
		pod          string
	}{
		"nothing":                         {`null`, `null`, false, ""},
		"other types in their place":      {`[]`, `"x"`, false, ""},
		"a custom task of numbers":        {`{"customRef":{"kind":1,"name":{}}}`, `{"podName":"p"}`, false, "p"},
		"a reference that is a number":    {`{"customRef":1,"pipelineRef":2}`, `{"podName":"p"}`, false, "p"},
		"a pod that is a number":          {`{}`, `{"podName":7,"conditions":[{"type":"Succeeded","status":"True"}]}`, true, ""},
		"conditions that are none":        {`{}`, `{"conditions":{"type":"Succeeded"},"podName":"p"}`, false, "p"},
		"a condition that is none":        {`{}`, `{"conditions":[7,{"type":"Succeeded","status":"True"}]}`, true, ""},
		"a status that is none":           {`{}`, `{"conditions":[{"type":"Succeeded","status":true}],"podName":"p"}`, false, "p"},
		"a status that nobody knows":      {`{}`, `{"conditions":[{"type":"Succeeded","status":"Maybe"}],"podName":"p"}`, false, "p"},
		"two conditions that disagree":    {`{}`, `{"conditions":[{"type":"Succeeded","status":"Unknown"},{"type":"Succeeded","status":"True"}],"podName":"p"}`, false, "p"},
		"a reason that is a list":         {`{}`, `{"conditions":[{"type":"Succeeded","status":"True","reason":[1]}]}`, true, ""},
		"a time that is none":             {`{}`, `{"completionTime":"yesterday","conditions":[{"type":"Succeeded","status":"True","lastTransitionTime":7}]}`, true, ""},
		"a time of the year 10000":        {`{}`, `{"completionTime":"10000-01-01T23:58:59Z","conditions":[{"type":"Succeeded","status":"True","lastTransitionTime":"9999-12-31T23:59:59-23:59"}]}`, true, ""},
		"steps that are none":             {`{}`, `{"podName":"p","steps":"s","sidecars":7}`, false, "p"},
		"steps of which one is none":      {`{}`, `{"podName":"p","steps":[7,{"container":[]}]}`, false, "p"},
		"attempts and children of others": {`{}`, `{"podName":"p","retriesStatus":7,"childReferences":[1,{"kind":1}]}`, false, "p"},
	} {
		t.Run(name, func(t *testing.T) {
			object := strings.NewReplacer("SPEC", test.spec, "STATUS", test.status).Replace(right)
			s := &Run{}
			if err := s.Read([]byte(object)); err != nil {
				t.Fatalf("it would end the watch: %v", err)
			}
			r, err := run.Parse([]byte(object))
			if err != nil {
				t.Fatalf("it would never be archived: %v", err)
			}
			got := []any{s.Reference(), s.UID, s.Protected, s.Finished, s.Attempt.PodName, r.Finished()}
			want := []any{run.Reference{Kind: "TaskRun", Namespace: "n", Name: "a"}, types.UID("u"), true, test.finished,
				test.pod, test.finished}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
