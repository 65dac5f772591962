package guard

import pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

// Rule "once": the first write wins. What is stored stays, with its value, its type and its place: a pod may add to it,
// repeat it, as raw text or in the form it is stored in, or leave it out, which changes nothing.
func checkOnce(declared declarations, stored, incoming status) *denial {
	if d := checkListOnce("status.results", stored.results, incoming.results, declared.results); d != nil {
		return d
	}
	for _, old := range stored.steps.list {
		st, _ := incoming.steps.find(old.name)
		if d := checkListOnce("the results of a step", old.results, st.results, declared.steps[old.name]); d != nil {
			return d
		}
	}
	return nil
}

func checkListOnce(where string, stored, incoming results, declared resultTypes) *denial {
	for _, old := range stored.list {
		again, given := incoming.find(old.name)
		if given && !repeats(again, old, declared[old.name]) {
			return invalid(ruleOnce, "%s: result %.100q is stored and cannot be changed", where, old.name)
		}
	}
	return nil
}

// repeats reports whether an incoming result says what is stored, in either form.
func repeats(incoming, stored entry, declared pipelinev1.ResultsType) bool {
	if incoming.same(stored) {
		return true
	}
	if len(incoming.extra) > 0 {
		return false
	}
	again, err := typed(incoming, declared)
	return err == nil && again.same(stored)
}
