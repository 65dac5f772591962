package fit

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// worthReferring is the minimum length of a value to be replaced by a reference, in bytes.
const worthReferring = 4096

// A reference is a parameter's value, or an element or key of it, and the text that Tekton replaces
// by it.
type reference struct {
	param, text, value string
	// whole is the value of the parameter.
	whole any
}

// Rule "references": in the status's copy of the Task or Pipeline, a parameter's value is turned
// back into the reference that Tekton substituted: $(params.report) instead of 1 MiB. Nothing is
// lost: the value is in spec.params, and Tekton (1.15) substitutes again at each reconcile,
// whenever it reads the copy: applyParamsContextsResultsAndWorkspaces
// (pkg/reconciler/taskrun/taskrun.go), resources.ApplyParameters in reconcile
// (pkg/reconciler/pipelinerun/pipelinerun.go). So a second attempt's pod is made from the same
// Task.
//
// A string is changed only if substituting the values again yields exactly that string; Tekton
// substitutes in one pass, whatever a value contains (substitution.ApplyReplacements). In a Task
// embedded in a Pipeline, a value given by its PipelineTask takes precedence (propagateParams in
// pkg/reconciler/pipelinerun/resources/apply.go): a parameter with another value there is left
// alone inside.
func (o *object) refer(spec string) {
	list := o.references(spec)
	if len(list) == 0 {
		return
	}
	for _, part := range []string{"steps", "sidecars", "stepTemplate"} {
		o.referBelow(path{"status", spec, part}, list)
	}
	for _, part := range []string{"tasks", "finally"} {
		for i := range o.list("status", spec, part) {
			task := path{"status", spec, part, i}
			visible := slices.DeleteFunc(slices.Clone(list), func(r reference) bool { return o.overrides(task, r) })
			o.referBelow(task.then("taskSpec"), visible)
			for _, field := range []string{"params", "matrix", "when"} {
				o.referBelow(task.then(field), list)
			}
		}
	}
}

func (o *object) referBelow(p path, list []reference) {
	var back []string
	for _, r := range list {
		back = append(back, r.text, r.value)
	}
	toValues := strings.NewReplacer(back...)
	o.eachText(p, func(p path, text string) {
		short := text
		for _, r := range list { // not a Replacer: quadratic time for a value of one repeated letter
			if len(short) >= len(r.value) {
				short = strings.ReplaceAll(short, r.value, r.text)
			}
		}
		if short != text && toValues.Replace(short) == text {
			o.set(short, p)
		}
	})
}

// references returns the run's parameters with long values, longest first, because one value may be
// part of another. The patterns are those of Tekton's getTaskParameters and paramsFromPipelineRun.
func (o *object) references(spec string) []reference {
	var list []reference
	given := make(map[string]bool)
	addAll := func(name string, value any) {
		add := func(pattern, text string) {
			if len(text) >= worthReferring {
				list = append(list, reference{param: name, text: "$(" + pattern + ")", value: text, whole: value})
			}
		}
		pattern := "params." + name
		if strings.Contains(name, ".") {
			pattern = fmt.Sprintf("params[%q]", name)
		}
		switch v := value.(type) {
		case string:
			add(pattern, v)
		case []any:
			for i, element := range v {
				text, _ := element.(string)
				add(fmt.Sprintf("%s[%d]", pattern, i), text)
			}
		case map[string]any:
			for key, element := range v {
				text, _ := element.(string)
				add("params."+name+"."+key, text)
			}
		}
	}
	for i := range o.list("spec", "params") {
		name := o.text("spec", "params", i, "name")
		given[name] = true
		addAll(name, o.at("spec", "params", i, "value"))
	}
	for i := range o.list("status", spec, "params") {
		if name := o.text("status", spec, "params", i, "name"); !given[name] {
			addAll(name, o.at("status", spec, "params", i, "default"))
		}
	}
	slices.SortStableFunc(list, func(a, b reference) int { return len(b.value) - len(a.value) })
	return list
}

// overrides reports whether a PipelineTask gives the parameter another value.
func (o *object) overrides(task path, r reference) bool {
	for i := range o.list(task.then("params")...) {
		if o.text(task.then("params", i, "name")...) == r.param &&
			!reflect.DeepEqual(o.at(task.then("params", i, "value")...), r.whole) {
			return true
		}
	}
	return false
}
