package oversize

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/indelible-ci/indelible/pkg/result"
)

// sendable is the largest body that an API server reads (k8s.io/apiserver, MaxRequestBodyBytes).
const sendable = 3 << 20

// likely is the smallest estimate that is believed: estimates leave out what is small.
const likely = sendable - sendable/8

// run is the part of a PipelineRun or TaskRun that determines sizes.
type run struct {
	Metadata struct {
		Name, Namespace, UID string
		Labels               map[string]string
	}
	Spec struct {
		Status string
		Params []struct {
			Name  string
			Value json.RawMessage
		}
		TaskSpec json.RawMessage
		Retries  int
	}
	Status struct {
		Conditions []struct{ Type, Status string }
		Results    []struct {
			Name  string
			Value value
		}
		TaskSpec      json.RawMessage
		RetriesStatus []length
		PipelineSpec  struct {
			Tasks, Finally []pipelineTask
			Results        json.RawMessage
		}
	}
	// size is the length of the object as JSON, status that of its status.
	size   int
	status length
}

// length is the length of a value as JSON.
type length int

// UnmarshalJSON implements json.Unmarshaler.
func (l *length) UnmarshalJSON(raw []byte) error { *l = length(len(raw)); return nil }

type pipelineTask struct {
	Name     string
	When     json.RawMessage
	Params   json.RawMessage
	Matrix   json.RawMessage
	TaskSpec json.RawMessage
}

func decode(raw []byte) (run, error) {
	r := run{size: len(raw)}
	whole := struct{ Status *length }{&r.status}
	if json.Unmarshal(raw, &r) != nil || json.Unmarshal(raw, &whole) != nil {
		return run{}, errors.New("read a run: malformed JSON") // not the error: it may quote a value
	}
	return r, nil
}

// over reports whether a run has ended or has been told to.
func (r run) over() bool {
	for _, c := range r.Status.Conditions {
		if c.Type == "Succeeded" && c.Status != "Unknown" {
			return true
		}
	}
	return r.Spec.Status != ""
}

// A use is a value of which a body has one or more copies.
type use struct {
	what string
	// size is the size of all copies, as JSON.
	size int
}

// A body is what the controller would send. Size 0: only the controller knows it.
type body struct {
	what string
	size int
	uses []use
}

// A value is the size of a result: as JSON, and as written.
type value struct{ encoded, written int }

// UnmarshalJSON implements json.Unmarshaler. It does not keep the value: there may be many, of 1
// MiB each.
func (v *value) UnmarshalJSON(raw []byte) error {
	v.encoded, v.written = len(raw), len(raw)
	var text string
	if json.Unmarshal(raw, &text) == nil {
		v.written = len(text)
	}
	return nil
}

func (v *value) add(other value) {
	v.encoded += other.encoded
	v.written += other.written
}

// reference matches where a Pipeline uses a task's result.
var reference = regexp.MustCompile(`\$\(tasks\.([^.)]+)\.results\.([^.)\[]+)`)

// bodiesOf estimates what the controller sends for a PipelineRun: its status, which has a copy of a
// result for each when expression and each Pipeline result that uses it; and each TaskRun not
// created yet, whose parameters have copies, too.
func bodiesOf(pipelineRun run, children []run) []body {
	sizes, created := make(map[string]*value), make(map[string]bool)
	for _, child := range children {
		task := child.Metadata.Labels["tekton.dev/pipelineTask"]
		created[task] = true
		for _, r := range child.Status.Results {
			name := task + "." + r.Name
			if sizes[name] == nil {
				sizes[name] = &value{}
			}
			sizes[name].add(r.Value) // of a matrix: the sum
		}
	}
	spec := pipelineRun.Status.PipelineSpec
	tasks := slices.Concat(spec.Tasks, spec.Finally)
	status := body{what: "its status", size: pipelineRun.size}
	inStatus := []byte(spec.Results)
	for _, t := range tasks {
		inStatus = append(inStatus, t.When...)
	}
	status.add(sizes, inStatus)
	bodies := []body{status}
	for _, t := range tasks {
		if !created[t.Name] {
			b := body{what: fmt.Sprintf("the run of task %.100q", t.Name)}
			b.add(sizes, slices.Concat([]byte(t.Params), []byte(t.Matrix), []byte(t.TaskSpec)))
			bodies = append(bodies, b)
		}
	}
	return bodies
}

// add counts the copies of each result that a text uses.
func (b *body) add(sizes map[string]*value, text []byte) {
	counts := make(map[string]int)
	for _, m := range reference.FindAllSubmatch(text, -1) {
		counts[string(m[1])+"."+string(m[2])]++
	}
	for name, n := range counts {
		v := sizes[name]
		if v == nil {
			continue
		}
		task, result, _ := strings.Cut(name, ".")
		b.size += n * v.encoded
		b.uses = append(b.uses, use{what: fmt.Sprintf("result %.100q of task %.100q, %s, used %d times", result, task,
			sizeOf(v.written), n), size: n * v.encoded})
	}
	slices.SortFunc(b.uses, func(a, b use) int { return b.size - a.size })
}

func sizeOf(n int) string { return result.Size(n).String() }

// words returns the message: what is too large, how large, the limit, and ways out.
func (b body) words() string {
	how := "would be about " + sizeOf(b.size) + ", but the API server accepts at most " + sizeOf(sendable)
	if b.size == 0 {
		how = "is over the " + sizeOf(sendable) + " that the API server accepts"
	}
	var uses []string
	for _, u := range b.uses[:min(len(b.uses), 3)] {
		uses = append(uses, u.what)
	}
	return fmt.Sprintf("too large for Tekton to write: %s %s; it has %s. "+
		"Write smaller results, or keep large content in a workspace or an artifact store and pass on its address",
		b.what,
		how, strings.Join(uses,
			"; "))
}

// words returns the message about the largest body, "" if it is not too large.
func words(bodies []body) string {
	largest := slices.MaxFunc(bodies, func(a, b body) int { return a.size - b.size })
	if largest.size < likely {
		return ""
	}
	return largest.words()
}
