package fit

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// worthReferring is the length in bytes from which on a parameter's value is replaced by a reference to it.
const worthReferring = 4096

// A reference is a value of a parameter, or of an element or key of it, and the text that Tekton replaces by it.
type reference struct {
	param, text, value string
	// whole is the value of the parameter.
	whole any
}

// Rule "references": in the copy of the Task or Pipeline that a run's status has, a parameter's value becomes again the
// reference that Tekton has put it in for: $(params.report) instead of a mebibyte. Nothing is lost by that. The value is in
// spec.params, and Tekton (1.15) puts it in again whenever it reads the copy, because it does so at each reconcile:
// applyParamsContextsResultsAndWorkspaces (pkg/reconciler/taskrun/taskrun.go), resources.ApplyParameters in reconcile
// (pkg/reconciler/pipelinerun/pipelinerun.go). So a second attempt's pod is made of the same Task.
//
// A string is left as it is unless putting the values in again gives exactly that string; Tekton does that in one pass,
// whatever a value itself contains (substitution.ApplyReplacements). In a Task embedded in a Pipeline, Tekton puts in for a name what
// its PipelineTask gives for it, if it does (propagateParams in pkg/reconciler/pipelinerun/resources/apply.go): a parameter that
// is given another value there is left alone inside.
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
		for _, r := range list { // not by a Replacer, whose time is quadratic for a value of one letter
			if len(short) >= len(r.value) {
				short = strings.ReplaceAll(short, r.value, r.text)
			}
		}
		if short != text && toValues.Replace(short) == text {
			o.set(short, p)
		}
	})
}

// references are the run's parameters with long values, longest first: one value may be a part of another. Tekton's patterns
// are those of getTaskParameters and paramsFromPipelineRun.
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

// overrides says whether a PipelineTask gives a parameter of that name another value.
func (o *object) overrides(task path, r reference) bool {
	for i := range o.list(task.then("params")...) {
		if o.text(task.then("params", i, "name")...) == r.param && !reflect.DeepEqual(o.at(task.then("params", i, "value")...), r.whole) {
			return true
		}
	}
	return false
}
