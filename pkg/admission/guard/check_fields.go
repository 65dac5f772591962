package guard

import "encoding/json"

// Rule "fields": a pod changes status.results and status.steps[].results, and nothing else of anything. What its write
// leaves out is no change: the publisher knows little more of the object than its name, and the guard adds the rest
// (whole.go). What is there must be as it is stored.
//
// A step comes either as it is stored, apart from its results, or as no more than a name and results. A step that the
// stored status does not have yet has no other form.
//
// Metadata and spec: on the status subresource the API server puts the stored ones back, but only after mutating
// admission, so the guard sees what was tried. It would have no effect, yet no publisher does it: it is refused
// like the rest. Only managedFields may differ; the API server keeps book there of each write. A resourceVersion says
// which object the writer has in mind: if that is another one by now, the writer may read it and try again.
func checkFields(stored, incoming taskRun) *denial {
	if field, changes := firstChange(stored.fields, incoming.fields); changes {
		return changedField(field)
	}
	if version, given := incoming.metadata["resourceVersion"]; given && !sameJSON(version, stored.metadata["resourceVersion"]) {
		return tooEarly(ruleFields, "metadata.resourceVersion is not the stored one: the TaskRun has changed since it was read, try again")
	}
	if field, changes := firstChange(stored.metadata, withoutManagedFields(incoming.metadata)); changes {
		return changedField("metadata." + field)
	}
	if field, changes := firstChange(stored.status.fields, incoming.status.fields); changes {
		return changedField("status." + field)
	}
	for _, e := range incoming.status.results.list {
		if d := checkEntryFields("status.results", e, stored.status.results); d != nil {
			return d
		}
	}
	for _, st := range incoming.status.steps.list {
		old, known := stored.status.steps.find(st.name)
		if d := checkStepFields(old, known, st); d != nil {
			return d
		}
		for _, e := range st.results.list {
			if d := checkEntryFields("status.steps[].results", e, old.results); d != nil {
				return d
			}
		}
	}
	return nil
}

// firstChange returns the first field, in the order of their names, that incoming has and stored has not, or otherwise.
func firstChange(stored, incoming fields) (field string, changes bool) {
	for _, key := range incoming.keys() {
		if value, ok := stored[key]; !ok || !sameJSON(value, incoming[key]) {
			return key, true
		}
	}
	return "", false
}

func changedField(field string) *denial {
	return invalid(ruleFields, "a pod may write results only, not change %.100q", field)
}

func withoutManagedFields(metadata fields) fields {
	rest := make(fields, len(metadata))
	for key, value := range metadata {
		if key != managedFields {
			rest[key] = value
		}
	}
	return rest
}

func checkStepFields(stored step, known bool, incoming step) *denial {
	field, beyond := beyondPartial(incoming)
	if beyond && known {
		field, beyond = firstDifference(stored.fields, incoming.fields)
	}
	if !beyond {
		return nil
	}
	return changedField("status.steps[]." + field)
}

// partialStep is the state of a step of which nothing is stored but results.
func partialStep(name string) step {
	return step{name: name, fields: fields{"name": quoteJSON(name), "container": quoteJSON(containerPrefix + name)}}
}

// beyondPartial returns the first field that a step has beyond its name and the container that follows from it.
func beyondPartial(s step) (field string, beyond bool) {
	partial := partialStep(s.name).fields
	for _, key := range s.fields.keys() {
		if want, ok := partial[key]; !ok || !sameJSON(want, s.fields[key]) {
			return key, true
		}
	}
	return "", false
}

// checkEntryFields refuses a result with fields beyond name, type and value, unless Tekton stored it so.
func checkEntryFields(list string, incoming entry, stored results) *denial {
	if len(incoming.extra) == 0 {
		return nil
	}
	if old, ok := stored.find(incoming.name); ok && old.same(incoming) {
		return nil
	}
	field, _ := firstDifference(nil, incoming.extra)
	return changedField(list + "[]." + field)
}

// containerPrefix begins the names of steps' containers (Tekton Pipelines, pkg/pod/entrypoint.go).
const containerPrefix = "step-"

func quoteJSON(text string) json.RawMessage {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always marshals
	}
	return raw
}
