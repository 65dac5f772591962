package guard

import pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

// Rule "once": the first write wins. What is stored stays, with its value, its type and its place; a pod may add
// to it and repeat it, as raw text or in the form it is stored in. A result that the guard computed from a step's
// may be left out: the publisher does not know of it.
func checkOnce(declared declarations, stored, incoming status) *denial {
	if d := checkListOnce("status.results", stored.results, incoming.results, declared.results, declared.isComputed); d != nil {
		return d
	}
	never := func(string) bool { return false }
	for _, old := range stored.steps.list {
		st, _ := incoming.steps.find(old.name) // a step left out has no results, and so loses those it had
		if d := checkListOnce("the results of a step", old.results, st.results, declared.steps[old.name], never); d != nil {
			return d
		}
	}
	return nil
}

func checkListOnce(where string, stored, incoming results, declared resultTypes, mayOmit func(string) bool) *denial {
	next := 0 // the place in incoming after the last stored result that was found
	for _, old := range stored.list {
		at, given := incoming.index[old.name]
		switch {
		case !given && mayOmit(old.name):
			continue
		case !given:
			return invalid(ruleOnce, "%s: result %.100q is stored and cannot be removed", where, old.name)
		case at < next:
			return outOfOrder(where, old.name)
		case !repeats(incoming.list[at], old, declared[old.name]):
			return invalid(ruleOnce, "%s: result %.100q is stored and cannot be changed", where, old.name)
		}
		next = at + 1
	}
	return nil
}

func outOfOrder(where, name string) *denial {
	return invalid(ruleOnce, "%s: stored results come first, in the order they are stored in (result %.100q)", where, name)
}

// lastRepeated returns the place in incoming of the last stored result it repeats, -1 if it repeats none. Results
// that are added come after it: were they moved there silently, the same write made again would be out of order.
func lastRepeated(stored, incoming results) int {
	last := -1
	for _, old := range stored.list {
		if i, ok := incoming.index[old.name]; ok {
			last = max(last, i)
		}
	}
	return last
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
