package oracle

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

// task is a Task and what its steps leave in the files of its results.
type task struct {
	spec v1.TaskSpec
	// files are the Task results', steps those of each step, by result; a result without a file is
	// absent.
	files map[string]string
	steps []map[string]string
}

// contents are what people and programs write into result files, and what they should not.
var contents = []string{
	"", "text", "text\n", " ", "\n", "0", "1e400", "true", "null", `"quoted"`, `"half`, "é\u2028", "\ufeff[]", "a\x00b",
	"<a>&'",
	`[]`, `[ ]`, `["a"]`, `["a","b"]`, ` ["a"]`, `["a"] `, "[\"a\"]\n", `["a",]`, `["a"`, `["a"]["b"]`, `[1]`, `[null]`,
	`["a",null]`,
	`[["a"]]`, `["\u00e9\n\ud83d\ude00"]`, `["\ud800"]`, `[{"a":"b"}]`, `["",""]`, `["<&>"]`,
	`{}`, `{"a":"1"}`, `{"a":"1","b":"2"}`, `{"b":"2","a":"1"}`, `{"a":1}`, `{"a":null}`, `{"a":{"b":"c"}}`,
	`{"a":"1","a":"2"}`,
	`{"":""}`, `{"a":"1"}x`, ` {"a":"1"}`, `{"a":["b"]}`, `{"A":"1","a":"2"}`, `{"é":"\u00e9"}`,
	`[{"key":"a","value":"b","type":1}]`, "tknz:x", "$(params.x)", "\u0085", "\x7f", "\ufffd",
}

// notText are contents that are not valid UTF-8.
var notText = []string{"\xff", "[\"\xff\"]", "{\"\xc3\":\"\"}", "\xed\xa0\x80"}

// newTask makes a Task with a few results of each kind, and their files.
func newTask(c *chooser) task {
	t := task{files: map[string]string{}}
	for i := range 1 + c.below(3) {
		t.addStep(c, i)
	}
	for range c.below(5) {
		t.addResult(c)
	}
	t.spec.SetDefaults(context.Background())
	return t
}

func (t *task) addStep(c *chooser, i int) {
	step, files := v1.Step{Image: "i"}, map[string]string{}
	if !c.one(4) {
		step.Name = fmt.Sprintf("s%d", i)
	}
	for _, name := range []string{"x", "y", "z"}[:c.below(4)] {
		step.Results = append(step.Results, v1.StepResult{Name: name, Type: resultType(c)})
		if !c.one(5) {
			files[name] = content(c)
		}
	}
	t.spec.Steps = append(t.spec.Steps, step)
	t.steps = append(t.steps, files)
}

func (t *task) addResult(c *chooser) {
	r := v1.TaskResult{Name: pick(c, []string{"a", "b", "c", "d.e", "f-g"}), Type: resultType(c)}
	if slices.ContainsFunc(t.spec.Results, func(other v1.TaskResult) bool { return other.Name == r.Name }) {
		return
	}
	if r.Type == v1.ResultsTypeObject {
		r.Properties = map[string]v1.PropertySpec{"a": {Type: v1.ParamTypeString}}
	}
	if c.one(3) {
		step := t.stepName(c.below(len(t.spec.Steps)))
		r.Value = v1.NewStructuredValues("$(steps." + step + ".results." + pick(c, []string{"x", "y", "z"}) + ")")
	} else if !c.one(5) {
		t.files[r.Name] = content(c)
	}
	t.spec.Results = append(t.spec.Results, r)
}

func resultType(c *chooser) v1.ResultsType { return pick(c, v1.AllResultsTypes) }

func content(c *chooser) string {
	switch c.below(40) {
	case 39:
		return pick(c, notText)
	case 38:
		return c.text(40)
	}
	switch c.below(8) {
	case 0:
		return c.ascii(40)
	case 1:
		return pick(c, contents) + pick(c, contents)
	case 2:
		return pick(c, []string{"[", "{\"a\":", "\""}) + c.ascii(20) + pick(c, []string{"]", "}", "\""})
	case 3:
		return strings.Repeat(pick(c, contents), c.below(20))
	}
	return pick(c, contents)
}

// stepName is the step's name in status.steps.
func (t task) stepName(i int) string {
	if name := t.spec.Steps[i].Name; name != "" {
		return name
	}
	return fmt.Sprintf("unnamed-%d", i)
}

// given are the names in -results: of the results without a value of their own.
func (t task) given() []string {
	var names []string
	for _, r := range t.spec.Results {
		if r.Value == nil {
			names = append(names, r.Name)
		}
	}
	return names
}

// givenOf are the names in a step's -step_results.
func (t task) givenOf(step int) []string {
	var names []string
	for _, r := range t.spec.Steps[step].Results {
		names = append(names, r.Name)
	}
	return names
}

// isText reports whether all files are valid UTF-8.
func (t task) isText() bool {
	for _, files := range append([]map[string]string{t.files}, t.steps...) {
		for _, content := range files {
			if !utf8.ValidString(content) {
				return false
			}
		}
	}
	return true
}
