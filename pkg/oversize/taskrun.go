package oversize

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// For a TaskRun the controller sends the stored TaskRun, with the Task in status.taskSpec and a
// copy of each parameter's value for each use (applyParamsContextsResultsAndWorkspaces). When an
// attempt has failed and another may follow, it sends that status once more, in
// status.retriesStatus (retryTaskRun). All of it can be counted if the Task is known: from the
// TaskRun's spec, or from its status once the start has been stored.
//
// So a forged event cancels a TaskRun only if
//
//   - the status that the controller would send, including another attempt's if spec.retries allows
//     one, is 2.6 MiB or more (likely), even if no attempt has failed yet;
//   - or the Task is unknown: it is named by taskRef, or a step by ref, and no start has been
//     stored. How often such a Task uses a parameter, only the controller knows. Then a TaskRun of
//     less than 384 KiB (sendable/uses) is left alone.
//
// A running TaskRun is never of the second kind.

// uses is how often an unknown Task is assumed to use the contents of its TaskRun's spec.
const uses = 8

// A task is the part of a Task that determines sizes.
type task struct {
	Params []struct {
		Name    string
		Default json.RawMessage
	}
	Steps []struct{ Ref *length }
	text  []byte
}

// task returns false if the Task is not known as far as it matters. The copy in the status may have
// been shortened if the spec has the Task (pkg/admission/fit), and parameters of a step by ref are
// substituted into text that is not visible here.
func (r run) task() (task, bool) {
	for _, text := range [][]byte{r.Spec.TaskSpec, r.Status.TaskSpec} {
		t := task{text: text}
		if len(text) == 0 || json.Unmarshal(text, &t) != nil {
			continue
		}
		if !slices.ContainsFunc(t.Steps, func(s struct{ Ref *length }) bool { return s.Ref != nil }) {
			return t, true
		}
	}
	return task{}, false
}

// bodyOf is an upper bound of what the controller sends for a TaskRun, without what is small. Its
// size is 0 if the Task is unknown.
func bodyOf(taskRun run) body {
	b := body{what: "the TaskRun, with parameters put into its Task,"}
	t, known := taskRun.task()
	if !known {
		for _, p := range taskRun.Spec.Params {
			v := valueOf(p.Value)
			b.uses = append(b.uses,
				use{what: fmt.Sprintf("parameter %.100q, %s", p.Name, sizeOf(v.written)), size: v.encoded})
		}
	} else {
		b.uses = t.copies(taskRun)
		more := len(t.text) - len(taskRun.Status.TaskSpec)
		for _, u := range b.uses {
			more += u.size
		}
		b.size = taskRun.size + more
		if taskRun.Spec.Retries > len(taskRun.Status.RetriesStatus) {
			b.size += int(taskRun.status) + more
			for _, earlier := range taskRun.Status.RetriesStatus {
				b.size -= int(earlier)
			}
		}
	}
	slices.SortFunc(b.uses, func(a, b use) int { return b.size - a.size })
	return b
}

// wordsOf returns the message about a TaskRun, "" if it is not too large.
func wordsOf(taskRun run) string {
	b := bodyOf(taskRun)
	if b.size == 0 && taskRun.size < sendable/uses || b.size > 0 && b.size < likely {
		return ""
	}
	return b.words()
}

// smallElement is the minimum size of an element of an array or object parameter to be counted
// separately.
const smallElement = 1 << 10

// parameter matches where a Task uses a parameter, in all of Tekton's notations (paramPatterns).
var parameter = regexp.MustCompile(`\$\((?:inputs\.)?params(?:\.([^)]+)|\[\\?["']([^"'\\]+)\\?["']\]([^)]*))\)`)

// copies returns the values that the Task has copies of.
func (t task) copies(taskRun run) (copies []use) {
	sizes := make(map[string]value)
	for _, p := range t.Params {
		addSizes(sizes, p.Name, p.Default)
	}
	for _, p := range taskRun.Spec.Params {
		addSizes(sizes, p.Name, p.Value)
	}
	counts := make(map[string]int)
	for _, m := range parameter.FindAllSubmatch(t.text, -1) {
		counts[strings.TrimSuffix(string(m[1])+string(m[2])+string(m[3]), "[*]")]++
	}
	for name, n := range counts {
		v, ok := sizes[name]
		if !ok {
			v = value{smallElement, smallElement}
		}
		copies = append(copies,
			use{what: fmt.Sprintf("parameter %.100q, %s, used %d times", name, sizeOf(v.written), n),
				size: n * v.encoded})
	}
	return copies
}

// addSizes adds the size of a parameter and of its elements that are not small.
func addSizes(sizes map[string]value, name string, raw json.RawMessage) {
	sizes[name] = valueOf(raw)
	var array []value
	var object map[string]value
	if json.Unmarshal(raw, &array) == nil {
		for i, v := range array {
			if v.encoded >= smallElement {
				sizes[name+"["+strconv.Itoa(i)+"]"] = v
			}
		}
	} else if json.Unmarshal(raw, &object) == nil {
		for key, v := range object {
			if v.encoded >= smallElement {
				sizes[name+"."+key] = v
			}
		}
	}
}

func valueOf(raw json.RawMessage) (v value) {
	_ = v.UnmarshalJSON(raw) // it has no error
	return v
}
