package guard

// Rule "declared": a pod publishes only results that its Task declares, each once: Task results
// without value: (those with value: are taken from a step result), and for each step the results it
// declares. Undeclared names are not harmless: Tekton Chains, for one, signs what it finds under
// IMAGE_DIGEST.
//
// Names that are already stored are left to the rule "once".
func checkDeclared(declared declarations, stored, incoming status) *denial {
	if d := checkNames("status.results", incoming.results, stored.results, func(name string) bool {
		_, ok := declared.results[name]
		return ok && !declared.isComputed(name)
	}); d != nil {
		return d
	}
	seen := make(map[string]bool)
	for _, st := range incoming.steps.list {
		if seen[st.name] {
			return invalid(ruleDeclared, "status.steps has step %.100q twice", st.name)
		}
		seen[st.name] = true
		old, known := stored.steps.find(st.name)
		own, ok := declared.steps[st.name]
		if !known && !ok {
			return invalid(ruleDeclared, "status.steps has step %.100q, which the Task does not declare", st.name)
		}
		if d := checkNames("the results of a step", st.results, old.results, func(name string) bool {
			_, ok := own[name]
			return ok
		}); d != nil {
			return d
		}
	}
	return nil
}

func checkNames(where string, incoming, stored results, declared func(name string) bool) *denial {
	seen := make(map[string]bool)
	for _, e := range incoming.list {
		if seen[e.name] {
			return invalid(ruleDeclared, "%s have result %.100q twice", where, e.name)
		}
		seen[e.name] = true
		if _, ok := stored.find(e.name); !ok && !declared(e.name) {
			return invalid(ruleDeclared,
				"%s have result %.100q, which the Task does not declare, or declares with a value:",
				where, e.name)
		}
	}
	return nil
}
