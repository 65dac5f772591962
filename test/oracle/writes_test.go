package oracle

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	authenticationv1 "k8s.io/api/authentication/v1"
)

// A write is an attempt to change a TaskRun's status: who, in which version, over what, and the new
// object.
type write struct {
	who      authenticationv1.UserInfo
	name     string // of who
	version  string
	old, new map[string]any
	edits    []string
}

func (w write) String() string {
	old, _ := json.Marshal(w.old)
	incoming, _ := json.Marshal(w.new)
	return fmt.Sprintf("%s: %s\nold: %.3000s\nnew: %.3000s", w.name, strings.Join(w.edits, ", "), old, incoming)
}

// declared is the taskSpec of the TaskRuns below.
const declared = `{
  "results": [{"name":"text","type":"string"},{"name":"list","type":"array"},{"name":"map","type":"object","properties":{"a":{"type":"string"}}},
    {"name":"fed","type":"string","value":"$(steps.build.results.digest)"},{"name":"fedlist","type":"array","value":"$(steps.build.results.files)"}],
  "steps": [{"name":"build","image":"i","results":[{"name":"digest","type":"string"},{"name":"files","type":"array"}]},
    {"name":"sign","image":"i","results":[{"name":"sig","type":"string"}]},
    {"name":"","image":"i","results":[{"name":"log","type":"string"}]}]}`

const (
	unfinished = `"conditions":[{"type":"Succeeded","status":"Unknown","reason":"Running"}]`
	steps      = `"steps":[{"name":"build","container":"step-build","imageID":"i","running":{"startedAt":"2026-01-02T03:04:06Z"}},
	  {"name":"sign","container":"step-sign","waiting":{"reason":"PodInitializing"}}]`
	published = `"results":[{"name":"text","type":"string","value":"x"},{"name":"fed","type":"string","value":"d"}],
	  "steps":[{"name":"build","container":"step-build","results":[{"name":"digest","type":"string","value":"d"}]},{"name":"sign","container":"step-sign"}]`
)

// states are TaskRuns as Tekton, the guard and the API server leave them.
var states = map[string]string{
	"empty":     `{}`,
	"unstarted": `{"podName":"",` + unfinished + `}`,
	"fresh": `{"podName":"run-pod","startTime":"2026-01-02T03:04:05Z",` + unfinished + `,` + steps +
		`,"provenance":{"refSource":{"uri":"git"}}}`,
	"wide": `{"podName":"run-pod",` + unfinished + `,"steps":[` + numberedSteps(200) +
		`{"name":"build","container":"step-build"}]}`,
	"early":     `{"podName":"run-pod",` + unfinished + `}`,
	"published": `{"podName":"run-pod",` + unfinished + `,` + published + `}`,
	"retried":   `{"podName":"run-pod",` + unfinished + `,` + published + `,"retriesStatus":[{"podName":"run-pod-0"}]}`,
	"finished":  `{"podName":"run-pod","completionTime":"2026-01-02T03:05:00Z","conditions":[{"type":"Succeeded","status":"True"}],` + published + `}`,
	"failed":    `{"podName":"run-pod","conditions":[{"type":"Succeeded","status":"False"}],` + steps + `}`,
}

// numberedSteps returns n elements of a list of steps, each with a comma after it.
func numberedSteps(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, `{"name":"s%d","container":"step-s%d"},`, i, i)
	}
	return s.String()
}

var stateNames = sortedKeys(states)

var writers = map[string]authenticationv1.UserInfo{
	"own pod":     ownPod,
	"controller":  controller,
	"person":      {Username: "ada", Groups: []string{"system:authenticated", "system:masters"}},
	"other pod":   podUser("team", "other-pod", "other-uid"),
	"recycled":    podUser("team", "run-pod", "earlier-uid"),
	"elsewhere":   podUser("elsewhere", "run-pod", "pod-uid"),
	"like team":   podUser("team:x", "run-pod", "pod-uid"),
	"unbound":     {Username: "system:serviceaccount:team:default", Groups: []string{"system:serviceaccounts"}},
	"group only":  {Username: "ada", Groups: []string{"system:serviceaccounts"}, Extra: ownPod.Extra},
	"two pods":    twoPods(),
	"no group":    {Username: ownPod.Username, Extra: ownPod.Extra},
	"other chief": {Username: controllerName + "x", Groups: []string{"system:serviceaccounts"}},
}

var writerNames = sortedKeys(writers)

func twoPods() authenticationv1.UserInfo {
	who := podUser("team", "run-pod", "pod-uid")
	who.Extra["authentication.kubernetes.io/pod-name"] = []string{"run-pod", "other-pod"}
	return who
}

func sortedKeys[T any](m map[string]T) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// newWrite makes a write of a few edits. Half of the writers are the own pod: the others rarely get
// far.
func newWrite(t testing.TB, c *chooser) write {
	state := pick(c, stateNames)
	w := write{name: "own pod", version: "v1"}
	if c.one(2) {
		w.name = pick(c, writerNames)
	}
	if c.one(12) {
		w.version = "v1beta1"
	}
	w.who = writers[w.name]
	old := `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"run","namespace":"team","uid":"run-uid","resourceVersion":"7"},
	  "spec":{"taskRef":{"name":"t"}},"status":` + states[state] + `}`
	if state != "empty" {
		merged, err := jsonpatch.MergePatch([]byte(old), []byte(`{"status":{"taskSpec":`+declared+`}}`))
		must(t, err)
		old = string(merged)
	}
	w.old, w.new = decoded(t, []byte(old)), decoded(t, []byte(old))
	w.edits = []string{state}
	for range 1 + c.below(3) {
		edit := pick(c, edits)
		w.edits = append(w.edits, edit.name)
		status, ok := w.new["status"].(map[string]any)
		if !ok {
			break
		}
		edit.apply(c, w.new, status)
	}
	return w
}

func decoded(t testing.TB, raw []byte) map[string]any {
	t.Helper()
	var m map[string]any
	must(t, json.Unmarshal(raw, &m))
	return m
}

// edits are what a write may consist of, well meant or not.
var edits = []struct {
	name  string
	apply func(c *chooser, object, status map[string]any)
}{
	{"publish", func(c *chooser, _, status map[string]any) {
		status["results"] = append(list(status["results"]), raw(pick(c, resultNames), content(c)))
	}},
	{"publish what fits", func(c *chooser, _, status map[string]any) {
		status["results"] = append(list(status["results"]), raw("text", c.ascii(9)),
			raw("list", pick(c, []string{`[]`, `["a"]`})))
	}},
	{"publish only new ones", func(c *chooser, _, status map[string]any) {
		status["results"] = []any{raw(pick(c, resultNames), content(c))}
	}},
	{"publish step results", func(c *chooser, _, status map[string]any) {
		status["steps"] = []any{map[string]any{"name": "build",
			"results": []any{raw("digest", "d"), raw("files", content(c))}}}
	}},
	{"publish step results in full steps", func(c *chooser, _, status map[string]any) {
		step := anyStep(c, status)
		step["results"] = append(list(step["results"]), raw(pick(c, stepResultNames), content(c)))
	}},
	{"publish for a step not listed", func(c *chooser, _, status map[string]any) {
		name := pick(c, []string{"sign", "unnamed-2", "build", "evil", ""})
		step := map[string]any{"name": name, "results": []any{raw(pick(c, stepResultNames), "s")}}
		if c.one(2) {
			step["container"] = "step-" + name
		}
		status["steps"] = append(list(status["steps"]), step)
	}},
	{"write a typed result", func(c *chooser, _, status map[string]any) {
		status["results"] = append(list(status["results"]), typed(c, pick(c, resultNames)))
	}},
	{"write a typed step result", func(c *chooser, _, status map[string]any) {
		step := anyStep(c, status)
		step["results"] = append(list(step["results"]), typed(c, pick(c, stepResultNames)))
	}},
	{"change a result", func(c *chooser, _, status map[string]any) { change(c, list(status["results"])) }},
	{"change a step result", func(c *chooser, _,
		status map[string]any) {
		change(c, list(anyStep(c, status)["results"]))
	}},
	{"shuffle results", func(c *chooser, _, status map[string]any) { shuffle(c, status, "results") }},
	{"shuffle step results", func(c *chooser, _, status map[string]any) { shuffle(c, anyStep(c, status), "results") }},
	{"shuffle steps", func(c *chooser, _, status map[string]any) { shuffle(c, status, "steps") }},
	{"set a field", func(c *chooser, _, status map[string]any) {
		set(c, status, pick(c, append(statusFields, "results", "steps")))
	}},
	{"set a field of a step", func(c *chooser, _, status map[string]any) {
		set(c, anyStep(c, status), pick(c, []string{"name", "container", "imageID", "terminated", "running",
			"terminationReason", "results", "provenance"}))
	}},
	{"retry", func(c *chooser, _, status map[string]any) {
		status["retriesStatus"] = append(list(status["retriesStatus"]), map[string]any{"podName": "run-pod"})
		if !c.one(4) {
			status["podName"] = ""
		}
		if !c.one(4) {
			delete(status, "results")
		}
	}},
	{"finish", func(_ *chooser, _, status map[string]any) {
		status["completionTime"] = "2026-01-02T03:06:00Z"
		status["conditions"] = []any{map[string]any{"type": "Succeeded", "status": "True"}}
	}},
	{"rebuild the steps", func(_ *chooser, _, status map[string]any) {
		for _, s := range list(status["steps"]) {
			if step, ok := s.(map[string]any); ok {
				delete(step, "results")
				step["terminated"] = map[string]any{"exitCode": 0.0}
			}
		}
	}},
	{"remove the status", func(c *chooser, object,
		_ map[string]any) {
		object["status"] = pick(c, []any{nil, map[string]any{}})
	}},
	{"many results", func(c *chooser, _, status map[string]any) {
		for range 280 + c.below(30) {
			status["results"] = append(list(status["results"]), raw("text", "v"))
		}
	}},
	{"a large result", func(c *chooser, _, status map[string]any) {
		size := pick(c, []int{1 << 20, 1<<20 + 1, 5<<18 - 40, 5<<18 + 1})
		status["results"] = append(list(status["results"]),
			raw(pick(c, resultNames),
				pick(c, []string{`["`, ``})+strings.Repeat("v", size)+pick(c, []string{``, `"]`})))
	}},
}

var (
	resultNames     = []string{"text", "list", "map", "fed", "fedlist", "IMAGE_DIGEST", ""}
	stepResultNames = []string{"digest", "files", "sig", "log", "text", ""}
	statusFields    = []string{"podName", "conditions", "completionTime", "startTime", "taskSpec", "provenance",
		"artifacts", "sidecars", "retriesStatus", "annotations", "spanContext", "later"}
)

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func raw(name, value string) map[string]any { return map[string]any{"name": name, "value": value} }

// typed is a result in the form it is stored in, or nearly.
func typed(c *chooser, name string) map[string]any {
	r := map[string]any{"name": name, "type": pick(c, []string{"string", "array", "object", "", "number"})}
	r["value"] = pick(c, []any{"v", []any{"a"}, []any{1.0}, map[string]any{"a": "b"}, map[string]any{"a": 1.0},
		nil, 5.0,
		[]any{}, map[string]any{}})
	if c.one(8) {
		r["extra"] = true
	}
	return r
}

// anyStep returns a step of the status, or one that is in no status.
func anyStep(c *chooser, status map[string]any) map[string]any {
	if l := list(status["steps"]); len(l) > 0 {
		if step, ok := pick(c, l).(map[string]any); ok {
			return step
		}
	}
	return map[string]any{}
}

func change(c *chooser, results []any) {
	if len(results) == 0 {
		return
	}
	r, ok := pick(c, results).(map[string]any)
	if !ok {
		return
	}
	switch c.below(4) {
	case 0:
		r["value"] = content(c)
	case 1:
		r["type"] = pick(c, []string{"string", "array", "object"})
	case 2:
		r["name"] = pick(c, resultNames)
	case 3:
		delete(r, pick(c, []string{"type", "value", "name"}))
	}
}

// shuffle removes, doubles or moves elements of a list.
func shuffle(c *chooser, in map[string]any, key string) {
	l := slices.Clone(list(in[key]))
	if len(l) == 0 {
		return
	}
	switch c.below(3) {
	case 0:
		at := c.below(len(l))
		l = slices.Delete(l, at, at+1)
	case 1:
		l = append(l, pick(c, l))
	case 2:
		slices.Reverse(l)
	}
	in[key] = l
}

func set(c *chooser, in map[string]any, key string) {
	switch c.below(4) {
	case 0:
		delete(in, key)
	case 1:
		in[key] = pick(c, []any{"evil", "", 1.0, true})
	case 2:
		in[key] = pick(c, []any{[]any{}, []any{map[string]any{}}, map[string]any{}, nil})
	case 3:
		in[key] = map[string]any{"uri": "evil"}
	}
}
