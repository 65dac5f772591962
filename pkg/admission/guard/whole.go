package guard

import "slices"

// makeWhole returns the operations that make a pod's write the object to be stored: what is stored, with the final
// lists of results and steps. The publisher writes a sparse object and may read nothing, so whatever it leaves out is
// taken from the stored object, the resourceVersion included. The API server calls mutating admission inside its
// compare-and-swap, so that what is stored here is still stored when it writes.
//
// Spec and metadata are handed on as well, though the API server puts the stored ones back in a write to the status:
// the mutating webhooks after this one, Tekton's own among them, are to see a whole TaskRun.
func makeWhole(stored, incoming taskRun, final merged) []operation {
	ops := addMissing("", stored.fields, incoming.fields)
	if len(incoming.metadata) == 0 {
		ops = append(ops, operation{op: "add", path: "/metadata", value: emptyObject})
	}
	ops = append(ops, addMissing("/metadata", withoutManagedFields(stored.metadata), incoming.metadata)...)
	ops = append(ops, keepManagers(stored.metadata, incoming.metadata)...)
	if !incoming.status.present {
		ops = append(ops, operation{op: "add", path: "/status", value: emptyObject})
	}
	ops = append(ops, addMissing("/status", stored.status.fields, incoming.status.fields)...)
	ops = append(ops, patchList("/status/results", incoming.status.results.present, incoming.status.results.list, final.results)...)
	return append(ops, patchList("/status/steps", incoming.status.steps.present, incoming.status.steps.list, final.steps)...)
}

var emptyObject = []byte("{}")

// addMissing returns the operations that add the fields which only the stored object has.
func addMissing(path string, stored, incoming fields) []operation {
	var ops []operation
	for _, key := range stored.keys() {
		if _, ok := incoming[key]; !ok {
			ops = append(ops, operation{op: "add", path: path + "/" + pointerToken(key), value: stored[key]})
		}
	}
	return ops
}

const managedFields = "managedFields"

// keepManagers keeps the books of who wrote which field (metadata.managedFields). The API server has compared the
// stored object with the sparse one by now, and concluded that everybody's fields but the pod's were removed. What is
// right of that is the entry of a manager that had none; the others stay as they are stored.
func keepManagers(stored, incoming fields) []operation {
	before := readManagers(stored[managedFields])
	want := slices.Clone(before)
	for _, m := range readManagers(incoming[managedFields]) {
		if !slices.ContainsFunc(before, m.sameAs) {
			want = append(want, m)
		}
	}
	value := encodeList(want)
	if len(want) == 0 || sameJSON(value, incoming[managedFields]) {
		return nil
	}
	return []operation{{op: "add", path: "/metadata/" + managedFields, value: value}}
}

// manager is an entry of metadata.managedFields.
type manager struct{ fields fields }

func (m manager) encode(w textWriter) { m.fields.encode(w) }

// sameAs compares what the API server tells managers apart by.
func (m manager) sameAs(other manager) bool {
	for _, key := range []string{"manager", "operation", "apiVersion", "subresource"} {
		if m.fields.text(key) != other.fields.text(key) {
			return false
		}
	}
	return true
}

// readManagers reads metadata.managedFields. An API server writes nothing there but a list of objects, or nothing.
func readManagers(raw []byte) []manager {
	var list []manager
	s := scan(raw)
	if err := s.Array(func() error {
		m := manager{fields{}}
		err := s.fieldsInto(m.fields)
		list = append(list, m)
		return err
	}); err != nil {
		return nil
	}
	return list
}
