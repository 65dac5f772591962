package guard

// Rule "others": nobody but the run's own pod and the trusted controller writes results. Whoever else may write a
// TaskRun's status by the cluster's RBAC may write all of it but status.results and status.steps[].results, which
// stay as they are stored: neither added to, nor changed, nor removed, nor reset by anything that looks like a retry.
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
				return forbidden(ruleOthers, "status.steps[].results of step %.100q: only the TaskRun's own pod writes results, and only once", name)
			}
		}
	}
	return nil
}

// stepResults returns the results of the steps that have any, and a name that two of these steps share.
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

// sameResults takes an empty list for none.
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
