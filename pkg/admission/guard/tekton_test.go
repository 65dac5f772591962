package guard

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

// Tekton's own types say what a value is.
func FuzzValuesAreReadAsByTekton(f *testing.F) {
	for _, seed := range []string{
		"", "text", `"quoted"`, `"half`, "null", "1", "[]", `["a","b"]`, `["a",1]`, `["a"`, `[null]`, "{}", `{"a":"b"}`,
		`{"a":1}`, `{"a":null}`, `{"a":"b","a":"c"}`, ` ["a"]`, "[\"\xff\"]", "\xff", "<&>\u2028", "$(steps.a.results.b)",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got resultValue
		var want pipelinev1.ResultValue
		if err := want.UnmarshalJSON([]byte(text)); err != nil {
			t.Skip(err)
		}
		if err := got.UnmarshalJSON([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if got.Type != string(want.Type) || got.text != want.StringVal || !cmp.Equal(got.array, want.ArrayVal) ||
			!cmp.Equal(got.object, want.ObjectVal) {
			t.Fatalf("%q: got %+v, want %+v", text, got, want)
		}
		gotJSON, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		wantJSON, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(wantJSON), string(gotJSON)); diff != "" {
			t.Fatalf("%q is written differently: %s", text, diff)
		}
		step, result, err := stepResultOf(text)
		wantStep, wantResult, wantErr := pipelinev1.ExtractStepResultName(text)
		if step != wantStep || result != wantResult || (err == nil) != (wantErr == nil) {
			t.Fatalf("%q refers to %q, %q (%v), want %q, %q (%v)", text, step, result, err, wantStep, wantResult, wantErr)
		}
	})
}

// So they do of what a Task declares.
func FuzzDeclarationsAreReadAsByTekton(f *testing.F) {
	for _, seed := range []string{
		`[]`, `null`, `[{"name":"a"}]`, `[{"name":"a","type":"array","description":"d"}]`,
		`[{"name":"a","type":"object","properties":{"x":{"type":"string"}}}]`,
		`[{"name":"a","value":"$(steps.s.results.r)"},{"name":"b","value":null}]`, `[{"NAME":"a","Value":["x"]}]`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		var got []declaredResult
		var want []pipelinev1.TaskResult
		if json.Unmarshal([]byte(list), &want) != nil {
			t.Skip("Tekton does not store it")
		}
		if err := json.Unmarshal([]byte(list), &got); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%q: %d results, want %d", list, len(got), len(want))
		}
		for i, w := range want {
			g := got[i]
			if g.Name != w.Name || g.Type != string(w.Type) || (g.Value == nil) != (w.Value == nil) ||
				g.Value != nil && g.Value.text != w.Value.StringVal {
				t.Fatalf("%q: result %d is %+v, want %+v", list, i, g, w)
			}
		}
	})
}

func TestTypesOfResultsAreTektons(t *testing.T) {
	for got, want := range map[string]pipelinev1.ResultsType{stringType: pipelinev1.ResultsTypeString,
		arrayType: pipelinev1.ResultsTypeArray, objectType: pipelinev1.ResultsTypeObject} {
		if got != string(want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
