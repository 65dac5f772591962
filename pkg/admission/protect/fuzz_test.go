package protect

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
)

// Any run is allowed; only its list of finalizers changes, which keeps its order and ends in ours
// if ours was missing; and a second call changes nothing.
func FuzzProtect(f *testing.F) {
	for _, seed := range []string{
		`{"metadata":{"name":"run"}}`, `{"metadata":{"finalizers":["a/b"]}}`,
		`{"metadata":{"finalizers":[""],"annotations":null}}`,
		`{"metadata":{"annotations":{"indelible.dev/archive":"disabled"}}}`, `{"metadata":null}`, `{}`, `null`,
		`{"Metadata":{},"metadata":{"Finalizers":["a"]}}`,
		`{"metadata":{"finalizers":[null]}}`,
	} {
		f.Add(seed)
	}
	h := New(Options{Log: logr.Discard()})
	f.Fuzz(func(t *testing.T, object string) {
		var before map[string]any
		if err := json.Unmarshal([]byte(object), &before); err != nil {
			return // an API server sends objects
		}
		req := creation("taskruns", object)
		once := apply(t, h.Handle(context.Background(), req), req)
		if again := creation("taskruns", once); apply(t, h.Handle(context.Background(), again), again) != once {
			t.Fatalf("the second time changes %s", once)
		}
		if once == object {
			return
		}
		after := tree(t, once).(map[string]any)
		// which has metadata, or nothing would change
		had, _ := before["metadata"].(map[string]any)["finalizers"].([]any)
		has, _ := after["metadata"].(map[string]any)["finalizers"].([]any)
		if diff := cmp.Diff(append(slices.Clone(had), "indelible.dev/archive"), has); diff != "" {
			t.Fatal(diff)
		}
		delete(before["metadata"].(map[string]any), "finalizers")
		delete(after["metadata"].(map[string]any), "finalizers")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatal(diff)
		}
	})
}
