package guard

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	jsonpatch "github.com/evanphx/json-patch/v5"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// A string decodes to what encoding/json decodes; its size and its digest are those of that.
func FuzzText(f *testing.F) {
	for _, seed := range []string{
		`"` + strings.Repeat("a", hashAtOnce-1) + `\n` + strings.Repeat(`é\t`, hashAtOnce) + `"`, `"\b\f\n\r\t\/\\\""`,
		`"` + strings.Repeat("a", hashAtOnce) + `bn"`,
		`"\ud83d\ud83d\ude00"`, "\"\xff\\n\"", `"a"`, `"\u00e9é\n"`, `"\ud83d\ude00"`, `"\ud83d\u0041"`, `"\ude00"`,
		`"\ud83d"`, `"\\u0041"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := scan(data)
		raw, err := s.Value()
		if err != nil || raw[0] != '"' {
			return
		}
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			t.Fatal(err)
		}
		if got, err := jsonscan.DecodeText(raw); err != nil || got != text {
			t.Fatalf("%q: decoded to %q, %v, want %q", data, got, err, text)
		}
		if !utf8.Valid(raw) {
			return
		}
		if got, want := digestOf(raw), fmt.Sprintf("%x", sha256.Sum256([]byte(text))); got != want {
			t.Fatalf("%q: digest %s, want %s", data, got, want)
		}
		if got, noted := valueSize(raw), len(raw)-2-s.Escaped(); got != int64(len(text)) || noted != len(text) {
			t.Fatalf("%q: got %d bytes, noted %d, want %d", data, got, noted, len(text))
		}
	})
}

// What a pod writes, by any patch, leaves everything but results as it was, and stored results
// where they were. The oracle takes the final object apart with encoding/json and knows nothing of
// the guard's types.
func FuzzGuard(f *testing.F) {
	for _, seed := range []string{
		`{"status":{"results":[{"name":"text","value":"v"}]}}`,
		`{"status":{"results":[{"name":"list","value":"[\"b\"]"},{"name":"text","value":"x"}]}}`,
		`{"status":{"steps":[{"name":"sign","results":[{"name":"sig","value":"s"}]}]}}`,
		`{"status":{"steps":[{"name":"build","results":[{"name":"digest","value":"d"},{"name":"files","value":"[]"}]}]}}`,
		`{"status":{"steps":[{"name":"build","imageID":"evil"}],"Results":[],"podName":""}}`,
		`{"":{}}`, `{"metadata":{"finalizers":["x"]},"status":null}`, `{"status":{"results":null}}`, `[]`, `{`,
		`{"status":{"results":[{"name":"text","name":"list"}]}}`, `{"status":{"steps":[{"name":"`,
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, patch []byte, published bool) {
		b := newBench(t)
		stored := running
		if published {
			stored = withStatus(t, `{"results":[{"name":"text","type":"string","value":"x"},{"name":"digest","type":"string","value":"d"}],
			  "steps":[{"name":"build","container":"step-build","results":[{"name":"digest","type":"string","value":"d"}]}]}`)
		}
		// As bytes from the wire: any answer will do, but no panic.
		for _, user := range []authenticationv1.UserInfo{ownPod, trustedController, person} {
			NewGuard(b.options).Handle(context.Background(), request(user, stored, string(patch)))
			NewGuard(b.options).Handle(context.Background(), request(user, string(patch), stored))
		}
		incoming, err := jsonpatch.MergePatch([]byte(stored), patch)
		if err != nil || !json.Valid(incoming) {
			return
		}
		resp, final := b.guard(ownPod, stored, string(incoming))
		if !resp.Allowed {
			return
		}
		before, after := takeApart(t, stored), takeApart(t, final)
		if marks := after.rest["status"].(map[string]any)["annotations"].(map[string]any); !published &&
			len(after.results)+
				len(after.steps["build"])+len(after.steps["sign"]) == 0 {
			if marks["indelible.dev/published"] != "pod-uid" {
				t.Fatalf("that nothing was published is not remembered: %v", marks)
			}
			delete(marks, "indelible.dev/published")
		}
		if !reflect.DeepEqual(before.rest, after.rest) {
			t.Fatalf("more than results changed by %s:\n%v\n%v", patch, before.rest, after.rest)
		}
		if !isPrefix(before.results, after.results) {
			t.Fatalf("stored results changed by %s:\n%v\n%v", patch, before.results, after.results)
		}
		for name, list := range before.steps {
			if !isPrefix(list, after.steps[name]) {
				t.Fatalf("stored results of step %s changed by %s", name, patch)
			}
		}
	})
}

// The carry-over never panics and never denies. It puts stored step results back and appends to a
// condition's message: with these taken out again, the object is as it was written.
func FuzzCarryOver(f *testing.F) {
	for _, seed := range []string{
		`{"status":{"steps":null}}`, `{"status":{"steps":[{"name":"build"}]}}`, `{"status":{"steps":[5]}}`, `{`, `0`,
		`{"status":{"conditions":[{"type":"Succeeded","status":"False"}],"steps":[{"terminationReason":"ResultsNotPublished","terminated":{"message":"[]"}}]}}`,
		`{"status":{"conditions":[{"type":"Ready"},{"type":"Succeeded","status":"False","message":"exited"}],"steps":[{"name":"sign","terminationReason":"ResultsNotPublished"}]}}`,
		`{"status":{"steps":[{"name":"build","results":[{"name":"more","value":"x"},{"name":"digest","value":"other"}]},{"name":"build"},{"name":"sign"}]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, patch []byte) {
		stored := withStatus(t,
			`{"steps":[{"name":"build","container":"step-build","results":[{"name":"digest","type":"string","value":"d"}]}]}`)
		b := newBench(t)
		for _, incoming := range []string{string(patch), stored} {
			if resp := NewCarryOver(b.options).Handle(context.Background(),
				request(trustedController, stored, incoming)); !resp.Allowed {
				t.Fatalf("denied: %v", resp.Result)
			}
		}
		incoming, err := jsonpatch.MergePatch([]byte(stored), patch)
		if err != nil || !json.Valid(incoming) {
			return
		}
		if incoming[0] != '{' {
			return
		}
		_, final := b.carryOver(trustedController, stored, string(incoming))
		want, got := decode(t, string(incoming)), decode(t, final)
		if reflect.DeepEqual(want, got) {
			return
		}
		before, _ := want["status"].(map[string]any)
		after, _ := got["status"].(map[string]any)
		takeOutExplanation(before, after)
		takeOutStepResults(decode(t, stored)["status"].(map[string]any), before, after)
		if !reflect.DeepEqual(want, got) {
			t.Fatalf("changed more than step results and a message:\n%v\n%v", want, got)
		}
	})
}

// takeOutExplanation takes out of the message of the condition Succeeded, where it is False, what
// the carry-over may have appended.
func takeOutExplanation(before, after map[string]any) {
	written, final := objects(before["conditions"]), objects(after["conditions"])
	for i, condition := range written {
		if condition["type"] != "Succeeded" || condition["status"] != "False" || i >= len(final) {
			continue
		}
		message, given := condition["message"]
		prefix := "results not published: "
		if text, _ := message.(string); text != "" {
			prefix = text + "; " + prefix
		}
		if text, _ := final[i]["message"].(string); !strings.HasPrefix(text, prefix) {
			return
		}
		if final[i]["message"] = message; !given {
			delete(final[i], "message")
		}
		return
	}
}

// takeOutStepResults takes out of a final status the step results, and the steps at the end, that
// are those of the stored status.
func takeOutStepResults(stored, before, after map[string]any) {
	written, final := objects(before["steps"]), objects(after["steps"])
	for i, step := range written {
		if i >= len(final) || reflect.DeepEqual(step["results"], final[i]["results"]) {
			continue
		}
		own, _ := step["results"].([]any)
		results, _ := final[i]["results"].([]any)
		_, given := step["results"]
		for _, old := range objects(stored["steps"]) {
			kept, _ := old["results"].([]any)
			if old["name"] != step["name"] || !isPrefix(kept, results) || !isPart(results[len(kept):], own) {
				continue
			}
			if final[i]["results"] = step["results"]; !given {
				delete(final[i], "results")
			}
		}
	}
	if len(final) > len(written) && isPart(after["steps"].([]any)[len(written):], stored["steps"].([]any)) {
		after["steps"] = after["steps"].([]any)[:len(written)]
	}
	if list, ok := after["steps"].([]any); ok && len(list) == 0 && len(final) > 0 {
		after["steps"] = before["steps"]
		if _, given := before["steps"]; !given {
			delete(after, "steps")
		}
	}
}

// objects returns a list of objects, nil of anything else.
func objects(list any) []map[string]any {
	elements, _ := list.([]any)
	all := make([]map[string]any, len(elements))
	for i, one := range elements {
		all[i], _ = one.(map[string]any)
	}
	return all
}

// isPart reports whether each element of a part is one of the whole.
func isPart(part, whole []any) bool {
	for _, one := range part {
		if !slices.ContainsFunc(whole, func(other any) bool { return reflect.DeepEqual(one, other) }) {
			return false
		}
	}
	return true
}

// apart is a TaskRun in two: its results, and the rest.
type apart struct {
	rest    map[string]any
	results []any
	steps   map[string][]any
}

func takeApart(t testing.TB, object string) apart {
	t.Helper()
	a := apart{rest: decode(t, object), steps: map[string][]any{}}
	status, _ := a.rest["status"].(map[string]any)
	a.results, _ = status["results"].([]any)
	delete(status, "results")
	list, _ := status["steps"].([]any)
	var kept []any
	for _, s := range list {
		st, _ := s.(map[string]any)
		name, _ := st["name"].(string)
		a.steps[name], _ = st["results"].([]any)
		delete(st, "results")
		// A step that has nothing but a name, its container and results was added for these
		// results.
		if len(st) == 2 && st["container"] == "step-"+name && len(a.steps[name]) > 0 && object != running {
			continue
		}
		kept = append(kept, st)
	}
	status["steps"] = kept
	if metadata, ok := a.rest["metadata"].(map[string]any); ok {
		delete(metadata, "managedFields")
	}
	return a
}

func isPrefix(prefix, list []any) bool {
	return len(list) >= len(prefix) && (len(prefix) == 0 || reflect.DeepEqual(prefix, list[:len(prefix)]))
}
