package guard

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/indelible-ci/indelible/pkg/jsonscan"
	"github.com/indelible-ci/indelible/pkg/result"
)

// Bounds beyond the configured ones. The policy evaluates each result and each key of an object in
// CEL, in quadratic time; beyond these bounds it would deny the write with a less clear message.
// Tekton's own limit of 4096 bytes allows fewer of either.
const (
	// maxResults is how many results, and how many step results, a TaskRun may have.
	maxResults = 300
	// maxSteps is how many steps a TaskRun may have whose pod publishes.
	maxSteps = 200
	// maxKeys is how many keys a result of type object may have.
	maxKeys = 2000
)

// Rule "size": a published result, all results of a TaskRun together, and the TaskRun as a whole
// stay below their limits. etcd refuses requests over 1.5 MiB, and a TaskRun that reaches that size
// can never be written again, not even to be completed: so the guard leaves a margin for Tekton's
// own writes.
//
// A result's size is that of its text (for anything but a string, of its JSON), without JSON's
// escapes; the object's is that of its JSON, with them, because that is what is stored. A write
// that adds nothing has no size; only the number of steps is checked for it, as in the policy.
func checkSize(limits result.Limits, m merged, objectSize int64) *denial {
	if n := len(m.steps); n > maxSteps {
		return tooLarge("the TaskRun has %d steps, the limit is %d", n, maxSteps)
	}
	if !m.adds() {
		return nil
	}
	for _, a := range m.added {
		if a.bytes > limits.Result {
			return tooLarge("%s is %s, the limit is %s", a.what, result.Size(a.bytes), result.Size(limits.Result))
		}
	}
	if n := len(m.results); n > maxResults {
		return tooLarge("the TaskRun has %d results, the limit is %d", n, maxResults)
	}
	if n := m.stepResults(); n > maxResults {
		return tooLarge("the TaskRun's steps have %d results, the limit is %d", n, maxResults)
	}
	total := totalSize(m)
	if total > limits.TaskRun {
		return tooLarge("the TaskRun's results are %s together, the limit is %s (largest added: %s)",
			result.Size(total), result.Size(limits.TaskRun), largest(m.added))
	}
	if objectSize > limits.Object {
		return tooLarge("the TaskRun is %s with these results, the limit is %s (largest added: %s)%s",
			result.Size(objectSize), result.Size(limits.Object), largest(m.added), escapes(m, total))
	}
	return nil
}

func largest(added []addition) string {
	top := added[0]
	for _, a := range added[1:] {
		if a.bytes > top.bytes {
			top = a
		}
	}
	return top.what + ", " + result.Size(top.bytes).String()
}

// escapes reports how much JSON's escapes add to results of that many bytes, if it is a tenth or
// more: otherwise nobody could see why 700 KB of markup make a TaskRun of 1.5 MiB.
func escapes(m merged, total int64) string {
	var stored int64
	for _, list := range m.lists() {
		for _, e := range list {
			stored += int64(len(e.value))
		}
	}
	if stored-total < total/10 {
		return ""
	}
	return fmt.Sprintf("; results of %d bytes take %s as stored: JSON writes <, >, & and control characters as six "+
		"bytes, quotes and line ends as two",
		total, result.Size(stored))
}

// lists returns the results of the TaskRun and of each step.
func (m merged) lists() [][]entry {
	lists := [][]entry{m.results}
	for _, st := range m.steps {
		lists = append(lists, st.results.list)
	}
	return lists
}

// totalSize sums the values of all results and step results, in bytes.
func totalSize(m merged) int64 {
	var total int64
	for _, list := range m.lists() {
		for _, e := range list {
			total += e.bytes()
		}
	}
	return total
}

// finalSize returns the length of the final object as JSON: the stored one with the new lists.
func finalSize(stored taskRun, m merged) int64 {
	size := stored.size - len(stored.status.results.raw) - len(stored.status.steps.raw)
	return int64(size + encodedLen(m.results) + encodedLen(m.steps))
}

// valueSize returns the size of a value in bytes: of a string, its decoded length in UTF-8; of
// anything else, its JSON.
func valueSize(raw json.RawMessage) int64 {
	if len(raw) < 2 || raw[0] != '"' {
		return int64(len(raw))
	}
	text := raw[1 : len(raw)-1]
	size := len(text)
	for i := bytes.IndexByte(text, '\\'); i >= 0; i = bytes.IndexByte(text, '\\') {
		written, decoded := jsonscan.EscapeSize(text[i:])
		size += decoded - written
		text = text[i+written:]
	}
	return int64(size)
}
