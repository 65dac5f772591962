package publisher

import (
	"encoding/json"
	"strings"
	"testing"

	tekton "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1/types"
)

func TestVerify(t *testing.T) {
	task := func(name, value string) collected { return collected{Results: []named{{name, value}}} }
	step := func(step, name, value string) collected {
		return collected{Steps: []stepResults{{step, []named{{name, value}}}}}
	}
	tests := map[string]struct {
		sent   collected
		status string // of the answer
		says   []string
	}{
		"allow a string as it was": {task("a", "x\n"),
			`{"results":[{"name":"a","type":"string","value":"x\n"}]}`, nil},
		"allow an empty string": {task("a", ""),
			`{"results":[{"name":"a","type":"string","value":""}]}`, nil},
		"allow a string that looks like JSON": {task("a", `["x"]`),
			`{"results":[{"name":"a","value":"[\"x\"]"}]}`, nil},
		"allow an array": {task("a", `["x", "y"]`+"\n"),
			`{"results":[{"name":"a","value":["x","y"]}]}`, nil},
		"allow an empty array": {task("a", `[]`), `{"results":[{"name":"a","value":[]}]}`, nil},
		"allow an object in another order": {task("a", `{"k":"v","l":"w"}`),
			`{"results":[{"name":"a","value":{"l":"w","k":"v"}}]}`, nil},
		"allow null as Tekton's empty string": {task("a", `["x",null]`),
			`{"results":[{"name":"a","value":["x",""]}]}`, nil},
		"allow a result that is computed from a step's": {task("a", "x"),
			`{"results":[{"name":"b","value":"y"},{"name":"a","value":"x"}]}`, nil},
		"allow a step result": {step("s", "a", "x"),
			`{"steps":[{"name":"r"},{"name":"s","results":[{"name":"a","value":"x"}],"container":"step-s"}]}`, nil},
		"forbid an answer without a status": {task("a", "secret"), ``,
			[]string{`result "a" (6 bytes) is missing`}},
		"forbid a missing result": {task("a", "secret"),
			`{"results":[{"name":"b","value":"secret"}]}`,
			[]string{`what is stored differs from the files: result "a" (6 bytes) is missing`}},
		"forbid a shorter string": {task("a", "secret"),
			`{"results":[{"name":"a","value":"secre"}]}`,
			[]string{`result "a" is a string of 5 bytes, its file has 6 bytes`}},
		"forbid a trimmed line end": {task("a", "secret\n"),
			`{"results":[{"name":"a","value":"secret"}]}`,
			[]string{`result "a" is a string of 6 bytes, its file has 7 bytes`}},
		"forbid another string of that length": {task("a", "secret"),
			`{"results":[{"name":"a","value":"forged"}]}`, []string{`result "a" is a string of 6 bytes`}},
		"forbid an array in another order": {task("a", `["x","y"]`),
			`{"results":[{"name":"a","value":["y","x"]}]}`, []string{`result "a" is an array of 2 elements`}},
		"forbid an object with a key too many": {task("a", `{"k":"v"}`),
			`{"results":[{"name":"a","value":{"k":"v","l":"w"}}]}`, []string{`result "a" is an object of 2 keys`}},
		"forbid an object with another value": {task("a", `{"k":"v"}`),
			`{"results":[{"name":"a","value":{"k":"w"}}]}`, []string{`result "a" is an object of 1 keys`}},
		"forbid an array for a string's file": {task("a", `x`), `{"results":[{"name":"a","value":["x"]}]}`,
			[]string{`result "a" is an array`}},
		"forbid an empty array for null": {task("a", `null`), `{"results":[{"name":"a","value":[]}]}`,
			[]string{`result "a" is an array of 0 elements`}},
		"forbid an empty object for null": {task("a", `null`), `{"results":[{"name":"a","value":{}}]}`,
			[]string{`result "a" is an object of 0 keys`}},
		"forbid a number": {task("a", `1`), `{"results":[{"name":"a","value":1}]}`,
			[]string{`result "a" is something else`}},
		"forbid an array of numbers": {task("a", `[1]`), `{"results":[{"name":"a","value":[1]}]}`,
			[]string{`result "a" is something else`}},
		"forbid no value": {task("a", ``), `{"results":[{"name":"a"}]}`,
			[]string{`result "a" is something else`}},
		"forbid null": {task("a", ``), `{"results":[{"name":"a","value":null}]}`,
			[]string{`result "a" is something else`}},
		"forbid a second entry that differs": {task("a", "x"),
			`{"results":[{"name":"a","value":"x"},{"name":"a","value":"y"}]}`,
			[]string{`result "a" is a string of 1 bytes`}},
		"forbid a Task result as a step result": {step("s", "a", "x"),
			`{"results":[{"name":"a","value":"x"}],"steps":[{"name":"s"}]}`,
			[]string{`result "a" of step "s" (1 bytes) is missing`}},
		"forbid a result on another step": {step("s", "a", "x"),
			`{"steps":[{"name":"t","results":[{"name":"a","value":"x"}]}]}`,
			[]string{`result "a" of step "s" (1 bytes) is missing`}},
		"forbid a result that no step has written": {task("a", "x"),
			`{"results":[{"name":"a","value":"x"},{"name":"c","value":"secret"}]}`,
			[]string{`result "c" is a string of 6 bytes, but no step has written its file`}},
		"forbid any result where no step has written one": {collected{},
			`{"results":[{"name":"a","value":["secret"]}]}`,
			[]string{`result "a" is an array of 1 elements, but no step has written its file`}},
		"forbid a result of a step that it has not written": {step("s", "a", "x"),
			`{"steps":[{"name":"s","results":[{"name":"a","value":"x"},{"name":"b","value":"secret"}]}]}`,
			[]string{`result "b" of step "s" is a string of 6 bytes, but no step has written its file`}},
		"forbid a result of a step that has written none": {collected{},
			`{"steps":[{"name":"t","results":[{"name":"a","value":"secret"}]}]}`,
			[]string{`result "a" of step "t" is a string of 6 bytes, but no step has written its file`}},
		"forbid a step result that differs": {step("s", "a", "x"),
			`{"steps":[{"name":"s","results":[{"name":"a","value":"yy"}]}]}`,
			[]string{`result "a" of step "s" is a string of 2 bytes, its file has 1 bytes`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			body := `{"kind":"TaskRun"}`
			if tt.status != "" {
				body = `{"kind":"TaskRun","status":` + tt.status + `}`
			}
			err := verify(Options{Results: []string{"a", "c"}}, tt.sent, []byte(body))
			if tt.says == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			wantText(t, err.Error(), tt.says...)
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "forged") {
				t.Errorf("the error holds a value: %v", err)
			}
		})
	}
	for _, body := range []string{"", "ok", `{"status":{"results":[`, `{"status":{"results":{}}}`, `[]`, `{} {}`} {
		if err := verify(Options{}, task("a", "x"), []byte(body)); err == nil {
			t.Errorf("no error for the answer %q", body)
		}
	}
}

// FuzzVerify stores a file as Tekton types it, declared or by its content, and expects agreement;
// and expects disagreement with any other string.
func FuzzVerify(f *testing.F) {
	for _, s := range []string{"", "x", `["a",null]`, `{"k":"v","k":"w","n":null}`, `[1]`, ` ["a"]`, `["a"] x`, "null",
		`["\ud800"]`, "\u2028<>&", `"quoted"`, `[[]]`, "\xff", `{"a":{}}`} {
		f.Add(s, s+"x")
	}
	f.Fuzz(func(t *testing.T, file, other string) {
		if invalidUTF8(file) >= 0 || invalidUTF8(other) >= 0 {
			return
		}
		var typed tekton.ParamValue
		if err := typed.UnmarshalJSON([]byte(file)); err != nil {
			t.Fatal(err)
		}
		sent := collected{Results: []named{{"a", file}}, Steps: []stepResults{{"s", []named{{"a", file}}}}}
		answer := func(value any) []byte {
			results := []map[string]any{{"name": "a", "value": value}}
			body, err := json.Marshal(map[string]any{"status": map[string]any{
				"results": results, "steps": []map[string]any{{"name": "s", "results": results}}}})
			if err != nil {
				t.Fatal(err)
			}
			return body
		}
		if err := verify(Options{}, sent, answer(file)); err != nil {
			t.Errorf("stored as the string it is: %v", err)
		}
		switch typed.Type {
		case tekton.ParamTypeArray:
			if err := verify(Options{}, sent, answer(typed.ArrayVal)); err != nil {
				t.Errorf("stored as Tekton's array: %v", err)
			}
			if verify(Options{}, sent, answer(append(typed.ArrayVal, other))) == nil {
				t.Error("an element too many went unnoticed")
			}
		case tekton.ParamTypeObject:
			if err := verify(Options{}, sent, answer(typed.ObjectVal)); err != nil {
				t.Errorf("stored as Tekton's object: %v", err)
			}
		}
		if file != other && verify(Options{}, sent, answer(other)) == nil {
			t.Errorf("%q is stored, the file has %q", other, file)
		}
		_ = verify(Options{}, sent, []byte(other)) // must not panic
	})
}
