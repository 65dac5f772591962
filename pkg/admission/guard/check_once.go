package guard

// Rule "once": the first write wins. Stored results keep their value, type and position. A pod may
// add to them, repeat them (as raw text or as stored), or leave them out, which changes nothing.
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

// repeats reports whether an incoming result equals the stored one, in either form.
func repeats(incoming, stored entry, declared string) bool {
	if incoming.same(stored) {
		return true
	}
	if len(incoming.extra) > 0 {
		return false
	}
	again, err := typed(incoming, declared)
	return err == nil && again.same(stored)
}
