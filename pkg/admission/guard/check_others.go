package guard

// Rule "others": only the run's own pod and the trusted controller write results. Anybody else with
// the right to write a TaskRun's status may change everything but status.results and
// status.steps[].results, which stay as stored: no additions, changes or removals, and no reset
// that looks like a retry.
func checkOthers(stored, incoming status) *denial {
	if !sameResults(stored.results, incoming.results) {
		return forbidden(ruleOthers, "status.results: only the TaskRun's own pod writes results, and only once")
	}
	before, _ := stepResults(stored.steps)
	after, twice := stepResults(incoming.steps)
	if twice != "" {
		return forbidden(ruleOthers, "status.steps has step %.100q twice, with results", twice)
	}
	for _, names := range []map[string]results{before, after} {
		for name := range names {
			if !sameResults(before[name], after[name]) {
				return forbidden(ruleOthers,
					"status.steps[].results of step %.100q: only the TaskRun's own pod writes results, "+
						"and only once", name)
			}
		}
	}
	return nil
}

// stepResults returns the results of the steps that have any, and a name that two of those steps
// share, if there is one.
func stepResults(list steps) (byStep map[string]results, twice string) {
	byStep = make(map[string]results)
	for _, st := range list.list {
		if len(st.results.list) == 0 {
			continue
		}
		if _, ok := byStep[st.name]; ok {
			twice = st.name
		}
		byStep[st.name] = st.results
	}
	return byStep, twice
}

// sameResults treats an empty list like an absent one.
func sameResults(a, b results) bool {
	if len(a.list) != len(b.list) {
		return false
	}
	for i := range a.list {
		if !a.list[i].same(b.list[i]) {
			return false
		}
	}
	return true
}
