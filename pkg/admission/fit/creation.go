package fit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Rule "creation": a run that is so large that it, or its status, could not be stored is refused at
// creation. The message names the large values, their sizes, the limit and ways out. Otherwise etcd
// would reject the run, or the API server its status, and Tekton's controller (1.15) would retry
// until the PipelineRun's timeout. A refusal as invalid ends the PipelineRun with reason
// CreateRunFailed and the message (handleRunCreationError in
// pkg/reconciler/pipelinerun/pipelinerun.go).
//
// Two sizes are checked: that of the run, and, for a TaskRun with an embedded Task, that of the
// first status write, which contains the Task once more with its parameters substituted. The Task
// of a taskRef is not known yet.
func (o *object) refusal(kind string) string {
	if o.size > creatable {
		return fmt.Sprintf("the %s is %s as stored, but a run of at most %s can be stored with its status%s. %s",
			kind, result.Size(o.size), result.Size(creatable), largest(o.parts()), wayOut)
	}
	used := o.uses()
	sent := o.size
	for _, u := range used {
		sent += u.times * u.stored
	}
	if task, ok := o.at("spec", "taskSpec").(map[string]any); ok {
		sent += encodedLen(task)
	}
	if sent > sendable {
		return fmt.Sprintf("the %s would be %s with its Task's parameters put in, "+
			"but the API server accepts at most %s%s. %s",
			kind, result.Size(sent), result.Size(sendable), largest(used), wayOut)
	}
	return ""
}

// A part is something that makes a run large.
type part struct {
	what string
	// stored is its size as JSON, in bytes; times is how often it is used, 0 if irrelevant.
	stored, times int
}

// parts returns the run's parameters and its embedded Task or Pipeline.
func (o *object) parts() (list []part) {
	for i := range o.list("spec", "params") {
		value := o.at("spec", "params", i, "value")
		list = append(list, part{
			what:   fmt.Sprintf("parameter %.100q, %s", o.text("spec", "params", i, "name"), sizes(value)),
			stored: encodedLen(value),
		})
	}
	for _, spec := range []string{"taskSpec", "pipelineSpec"} {
		if embedded, ok := o.at("spec", spec).(map[string]any); ok {
			list = append(list, part{what: fmt.Sprintf("spec.%s, %s", spec, result.Size(encodedLen(embedded))),
				stored: encodedLen(embedded)})
		}
	}
	return list
}

// uses counts how often an embedded Task's steps and sidecars use each parameter with a long value.
func (o *object) uses() (list []part) {
	for _, r := range o.references("taskSpec") {
		n := 0
		for _, p := range []string{"steps", "sidecars", "stepTemplate"} {
			o.eachText(path{"spec", "taskSpec", p}, func(_ path, text string) { n += strings.Count(text, r.text) })
		}
		if n > 0 {
			stored := encodedLen(r.value)
			list = append(list,
				part{what: fmt.Sprintf("parameter %.100q, %s, used %s", r.param, sizes(r.value), times(n)),
					stored: stored, times: n})
		}
	}
	return list
}

// most is how many parts a message names.
const most = 3

// largest names the largest parts.
func largest(parts []part) string {
	slices.SortStableFunc(parts, func(a, b part) int { return b.stored*max(b.times, 1) - a.stored*max(a.times, 1) })
	var names []string
	for _, p := range parts[:min(len(parts), most)] {
		names = append(names, p.what)
	}
	if len(names) == 0 {
		return ""
	}
	return "; largest: " + strings.Join(names, "; ")
}
