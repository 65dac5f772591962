package observed

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

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
			if err := json.Unmarshal([]byte(object), s); err != nil {
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
