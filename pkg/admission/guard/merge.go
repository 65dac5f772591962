package guard

import (
	"encoding/json"
	"fmt"
	"slices"
)

// merged is the status that results from a pod's write: the stored one plus the results it adds.
type merged struct {
	results []entry
	steps   []step
	// added are the results that were not stored before.
	added []addition
	// warnings are returned to the publisher, for its explanation.
	warnings []string
	// has are the names in results.
	has map[string]bool
}

// addition is a result that a write adds.
type addition struct {
	// what names the result in messages, key in the audit log.
	what, key string
	// text is the value as sent: the content of the result's file as a JSON string.
	text json.RawMessage
	// bytes is the size of the value as sent.
	bytes int64
}

// adds reports whether the write adds results.
func (m merged) adds() bool { return len(m.added) > 0 }

// stepResults counts the results of all steps.
func (m merged) stepResults() int {
	n := 0
	for _, st := range m.steps {
		n += len(st.results.list)
	}
	return n
}

// merge computes the final status of a pod's write that passed the rules "fields", "declared" and
// "once".
//
// A result whose value does not have the declared type is dropped, with a warning: Tekton's
// controller removes such a result and fails the TaskRun (validateTaskRunResults). Here the
// publisher fails it, because it finds fewer results stored than it sent. A step result that feeds
// a Task result of another type is dropped with it: if only the Task result were dropped, nobody
// would notice, and the TaskRun would succeed without it.
func merge(declared declarations, stored, incoming status) (merged, *denial) {
	m := merged{results: slices.Clone(stored.results.list), steps: slices.Clone(stored.steps.list),
		has: make(map[string]bool)}
	for _, e := range m.results {
		m.has[e.name] = true
	}
	for _, e := range incoming.results.list {
		if m.has[e.name] {
			continue
		}
		want := declared.results[e.name]
		t, err := typed(e, want)
		if err != nil {
			return merged{}, invalid(ruleType, "status.results: %v", err)
		}
		if t.typ != want {
			m.warnings = append(m.warnings, wrongType(e.name, want, t.typ))
			continue
		}
		m.has[e.name] = true
		m.results = append(m.results, t)
		m.added = append(m.added, addition{
			what: fmt.Sprintf("result %.100q", e.name), key: "results/" + e.name, text: e.value, bytes: e.bytes(),
		})
	}
	for _, st := range incoming.steps.list {
		if d := m.mergeStep(declared, st); d != nil {
			return merged{}, d
		}
	}
	return m, nil
}

// mergeStep adds the results of one step and the Task results that take their value from them
// (createTaskResultsFromStepResults in Tekton's pkg/pod/status.go: with the step result's type and
// value).
func (m *merged) mergeStep(declared declarations, incoming step) *denial {
	final, i := partialStep(incoming.name),
		slices.IndexFunc(m.steps, func(s step) bool { return s.name == incoming.name })
	if i >= 0 {
		final = m.steps[i]
	}
	stored := final.results
	final.results.list = slices.Clone(stored.list)
	feeds := declared.feeds[incoming.name]
	for _, e := range incoming.results.list {
		if _, ok := stored.find(e.name); ok {
			continue
		}
		t, err := typed(e, declared.steps[incoming.name][e.name])
		if err != nil {
			return invalid(ruleType, "the results of a step: %v", err)
		}
		if fed, ok := feeds[e.name]; ok {
			if want := declared.results[fed]; t.typ != want {
				m.warnings = append(m.warnings, wrongType(fed, want, t.typ))
				continue
			}
			if !m.has[fed] {
				m.has[fed] = true
				m.results = append(m.results, entry{name: fed, typ: t.typ, value: t.value})
			}
		}
		final.results.list = append(final.results.list, t)
		m.added = append(m.added, addition{
			what: fmt.Sprintf("result %.100q of step %.100q", e.name, incoming.name),
			key:  "steps/" + incoming.name + "/results/" + e.name, text: e.value, bytes: e.bytes(),
		})
	}
	switch {
	case i >= 0:
		m.steps[i] = final
	case len(final.results.list) > 0:
		m.steps = append(m.steps, final)
	}
	return nil
}

func wrongType(name string, declared, got string) string {
	article := "an"
	if got == stringType {
		article = "a"
	}
	return fmt.Sprintf("result %.100q is declared %s, but its value is %s %s; Tekton drops it", name, declared, article,
		got)
}
