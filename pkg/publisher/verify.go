package publisher

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/indelible-ci/indelible/pkg/result"
)

// stored is the part of the stored TaskRun that is compared.
type stored struct {
	Status struct {
		Results []storedResult `json:"results"`
		Steps   []struct {
			Name    string         `json:"name"`
			Results []storedResult `json:"results"`
		} `json:"steps"`
	} `json:"status"`
}

type storedResult struct {
	Name  string      `json:"name"`
	Value storedValue `json:"value"`
}

// storedValue is a string, a list of strings or a map of strings; what Tekton calls string, array
// and object.
type storedValue struct {
	kind   byte // the JSON text's first byte: '"', '[' or '{'; zero for anything else
	text   string
	array  []string
	object map[string]string
}

// UnmarshalJSON accepts any valid JSON: a value of the wrong kind equals no file, and verify
// reports it by name.
func (v *storedValue) UnmarshalJSON(b []byte) error {
	var err error
	switch *v = (storedValue{}); b[0] {
	case '"':
		err = json.Unmarshal(b, &v.text)
	case '[':
		err = json.Unmarshal(b, &v.array)
	case '{':
		err = json.Unmarshal(b, &v.object)
	default:
		return nil
	}
	if err == nil {
		v.kind = b[0]
	}
	return nil
}

// equals reports whether the value is that of the file. A string must equal the file, byte for
// byte. An array or object must equal the file's JSON as Tekton reads it: it begins at the first
// byte, its elements are strings, and null counts as an empty one.
func (v storedValue) equals(file string) bool {
	switch v.kind {
	case '"':
		return v.text == file
	case '[':
		var want []string
		return strings.HasPrefix(file, "[") && json.Unmarshal([]byte(file), &want) == nil && slices.Equal(want, v.array)
	case '{':
		var want map[string]string
		return strings.HasPrefix(file, "{") && json.Unmarshal([]byte(file), &want) == nil && maps.Equal(want, v.object)
	}
	return false
}

func (v storedValue) describe() string {
	switch v.kind {
	case '"':
		return "a string of " + result.Size(len(v.text)).String()
	case '[':
		return fmt.Sprintf("an array of %d elements", len(v.array))
	case '{':
		return fmt.Sprintf("an object of %d keys", len(v.object))
	}
	return "something else"
}

// verify compares the answer to the PUT with what was sent. It returns a *problem that names each
// result that is not stored as sent, and each that is stored though no step wrote its file. This is
// the publisher's part of the guarantee that a TaskRun never succeeds with a result missing or
// different from its file (docs/design.md, invariant 3): another container of the pod may have
// written first, and the API server drops unknown fields.
//
// A stored Task result that is not among the options' takes its value from a step result; the guard
// derives it.
func verify(o Options, sent collected, body []byte) error {
	var got stored
	if err := json.Unmarshal(body, &got); err != nil {
		return &problem{
			what: fmt.Sprintf("the API server accepted the results, but its answer (%s) cannot be read as a TaskRun",
				result.Size(len(body))),
			advice: "Look at the TaskRun's status.results, and check the proxies between the pod and the API server.",
		}
	}
	wrong := compare(sent.Results, got.Status.Results, taskLabel)
	wrong = append(wrong, unwritten(sent.Results, ofTask(o, got.Status.Results), taskLabel)...)
	for _, s := range stepsOf(sent, got) {
		label := func(name string) string { return stepLabel(s.name, name) }
		wrong = append(wrong, compare(s.sent, s.got, label)...)
		wrong = append(wrong, unwritten(s.sent, s.got, label)...)
	}
	if len(wrong) == 0 {
		return nil
	}
	return &problem{
		what: "what is stored differs from the files: " + strings.Join(wrong, ", "),
		advice: "Compare the result's declared type with what its file holds: an array is a JSON list of strings, an " +
			"object a JSON object of strings. If they agree, look for another container of this pod that wrote results first.",
	}
}

// ofTask returns the stored results that have files of their own.
func ofTask(o Options, got []storedResult) []storedResult {
	return slices.DeleteFunc(slices.Clone(got),
		func(g storedResult) bool { return !slices.Contains(o.Results, g.Name) })
}

// stepPair is what was sent and what is stored for one step.
type stepPair struct {
	name string
	sent []named
	got  []storedResult
}

// stepsOf pairs the steps that have results on either side, sorted by name.
func stepsOf(sent collected, got stored) []stepPair {
	pairs := map[string]stepPair{}
	for _, s := range sent.Steps {
		pairs[s.Name] = stepPair{name: s.Name, sent: s.Results}
	}
	for _, g := range got.Status.Steps {
		p := pairs[g.Name]
		p.name, p.got = g.Name, append(p.got, g.Results...)
		pairs[g.Name] = p
	}
	return slices.SortedFunc(maps.Values(pairs), func(a, b stepPair) int { return strings.Compare(a.name, b.name) })
}

// unwritten describes each stored result that has no file.
func unwritten(sent []named, got []storedResult, label func(string) string) []string {
	var wrong []string
	for _, g := range got {
		if !slices.ContainsFunc(sent, func(s named) bool { return s.Name == g.Name }) {
			wrong = append(wrong,
				fmt.Sprintf("%s is %s, but no step has written its file", label(g.Name), g.Value.describe()))
		}
	}
	return wrong
}

// compare describes each result that is missing or different. If a name is stored twice, both must
// be right: a reader could take either.
func compare(sent []named, got []storedResult, label func(string) string) []string {
	var wrong []string
	for _, s := range sent {
		found := false
		for _, g := range got {
			if g.Name != s.Name {
				continue
			}
			found = true
			if !g.Value.equals(s.Value) {
				wrong = append(wrong, fmt.Sprintf("%s is %s, its file has %s",
					label(s.Name), g.Value.describe(), result.Size(len(s.Value))))
			}
		}
		if !found {
			wrong = append(wrong, fmt.Sprintf("%s (%s) is missing", label(s.Name), result.Size(len(s.Value))))
		}
	}
	return wrong
}
