package guard

import "slices"

// makeWhole returns the operations that complete a pod's write: the stored object with the final
// lists of results and steps. The publisher sends a sparse object and has no right to read, so
// whatever it leaves out is taken from the stored object, including the resourceVersion. The API
// server calls mutating admission inside its compare-and-swap, so the object that is stored now is
// still stored when it writes.
//
// Spec and metadata are added as well, though the API server would restore them in a status write:
// later mutating webhooks, such as Tekton's own, should see a whole TaskRun.
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
	ops = append(ops, patchList("/status/results", incoming.status.results.present, incoming.status.results.list,
		final.results)...)
	return append(ops, patchList("/status/steps", incoming.status.steps.present, incoming.status.steps.list,
		final.steps)...)
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

// keepManagers restores metadata.managedFields. The API server has already compared the stored
// object with the sparse one, and concluded that all fields but the pod's were removed. Of its
// result only a new manager's entry is right; the other entries stay as stored.
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

// sameAs compares what the API server identifies managers by.
func (m manager) sameAs(other manager) bool {
	for _, key := range []string{"manager", "operation", "apiVersion", "subresource"} {
		if m.fields.text(key) != other.fields.text(key) {
			return false
		}
	}
	return true
}

// readManagers reads metadata.managedFields. API servers write a list of objects there, or nothing.
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
