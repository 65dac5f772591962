package guard

import "encoding/json"

// Rule "fields": a pod changes status.results and status.steps[].results, and nothing else. Fields
// its write leaves out are not changed: the publisher knows little more than the object's name, and
// the guard adds the rest (whole.go). Fields it contains must equal the stored ones.
//
// A step is either as stored, apart from its results, or just a name and results. A step that is
// not stored yet can only have the second form.
//
// Metadata and spec: on the status subresource the API server restores the stored ones, but only
// after mutating admission, so the guard sees the attempt. It would have no effect, but no
// publisher does it, and it is denied like the rest. Only managedFields may differ; the API server
// records each write there. A resourceVersion other than the stored one is answered by 409: the
// requester may read the object again and retry.
func checkFields(stored, incoming taskRun) *denial {
	if field, changes := firstChange(stored.fields, incoming.fields); changes {
		return changedField(field)
	}
	if version, given := incoming.metadata["resourceVersion"]; given &&
		!sameJSON(version, stored.metadata["resourceVersion"]) {
		return tooEarly(ruleFields,
			"metadata.resourceVersion is not the stored one: the TaskRun has changed since it was "+
				"read, try again")
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

// firstChange returns the first field, by name, that incoming has and that stored lacks or has with
// another value.
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

// partialStep returns a step of which only results are known.
func partialStep(name string) step {
	return step{name: name, fields: fields{"name": quoteJSON(name), "container": quoteJSON(containerPrefix + name)}}
}

// beyondPartial returns the first field of a step other than its name and the container derived
// from it.
func beyondPartial(s step) (field string, beyond bool) {
	partial := partialStep(s.name).fields
	for _, key := range s.fields.keys() {
		if want, ok := partial[key]; !ok || !sameJSON(want, s.fields[key]) {
			return key, true
		}
	}
	return "", false
}

// checkEntryFields denies a result with fields other than name, type and value, unless it is stored
// like that.
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

// containerPrefix is the prefix of step containers' names (Tekton Pipelines,
// pkg/pod/entrypoint.go).
const containerPrefix = "step-"

func quoteJSON(text string) json.RawMessage {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always marshals
	}
	return raw
}
