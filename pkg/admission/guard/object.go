package guard

import (
	"encoding/json"
	"fmt"

	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// maxDepth is how deeply arrays and objects may nest. The types of a TaskRun of Tekton 1.15 nest 15
// deep at most, in
// status.retriesStatus[].taskSpec.volumes[].projected.sources[].clusterTrustBundle…
// (matchExpressions[].values) (TestDepthOfTaskRuns); managedFields name each field and nest 5
// deeper. encoding/json's limit is 10,000.
const maxDepth = 200

// scanner reads the parts of an admission review that are TaskRuns.
type scanner struct{ jsonscan.Scanner }

func scan(data []byte) *scanner { return &scanner{jsonscan.New(data, maxDepth)} }

// taskRun is the part of a TaskRun that the guard reads. All raw values alias the request's bytes.
type taskRun struct {
	// size is the length of the whole object as JSON, in bytes.
	size int
	// fields are all fields except metadata and status; metadata those of the metadata.
	fields, metadata     fields
	namespace, name, uid string
	status               status
}

// status is a TaskRun's status.
type status struct {
	present bool
	// fields are all fields except results and steps.
	fields  fields
	results results
	steps   steps
}

// results is a list of results: status.results, or the results of one step.
type results struct {
	// present distinguishes an empty list from an absent one; raw is the list as received.
	present bool
	raw     json.RawMessage
	list    []entry
	// index is the first position of each name in list; an attacker can make lists arbitrarily
	// long.
	index map[string]int
}

// steps is status.steps.
type steps struct {
	present bool
	raw     json.RawMessage
	list    []step
	index   map[string]int
}

// entry is one result. typ and value are "" and nil where the fields are absent.
type entry struct {
	name, typ string
	value     json.RawMessage
	// size is valueSize of value; 0 if not computed yet.
	size int64
	// extra are fields that the schema of Tekton 1.15 does not know.
	extra fields
}

// step is the state of one step. fields are all its fields except results, including the name.
type step struct {
	name    string
	fields  fields
	results results
}

func (e entry) same(other entry) bool {
	return e.name == other.name && e.typ == other.typ && sameJSON(e.value, other.value) &&
		sameFields(e.extra, other.extra)
}

// bytes returns the size of the value in bytes, as noted by the scanner.
func (e entry) bytes() int64 {
	if e.size > 0 {
		return e.size
	}
	return valueSize(e.value)
}

// find returns the first result of that name.
func (r results) find(name string) (entry, bool) {
	if i, ok := r.index[name]; ok {
		return r.list[i], true
	}
	return entry{}, false
}

// find returns the first step of that name.
func (s steps) find(name string) (step, bool) {
	if i, ok := s.index[name]; ok {
		return s.list[i], true
	}
	return step{}, false
}

// indexOf returns the first place of each name in a list.
func indexOf[T interface{ itemName() string }](list []T) map[string]int {
	index := make(map[string]int, len(list))
	for i, t := range list {
		if _, ok := index[t.itemName()]; !ok {
			index[t.itemName()] = i
		}
	}
	return index
}

// text returns a field's string; "" if it is absent or not a string.
func (f fields) text(key string) string {
	raw := f[key]
	if len(raw) == 0 || raw[0] != '"' {
		return ""
	}
	text, err := jsonscan.DecodeText(raw)
	if err != nil {
		return ""
	}
	return text
}

// decodeTaskRun reads a TaskRun. Its errors name fields, never values.
func decodeTaskRun(raw []byte) (taskRun, error) {
	tr := taskRun{size: len(raw), fields: fields{}, metadata: fields{}}
	s := scan(raw)
	err := s.Object(func(key string) error {
		switch key {
		case "metadata":
			return in(key, s.fieldsInto(tr.metadata))
		case "status":
			return in(key, s.status(&tr.status))
		}
		return in(key, s.fieldInto(tr.fields, key))
	})
	if err == nil {
		err = s.End()
	}
	if err != nil {
		return taskRun{}, fmt.Errorf("read the TaskRun: %w", err)
	}
	tr.namespace, tr.name, tr.uid = tr.metadata.text("namespace"), tr.metadata.text("name"), tr.metadata.text("uid")
	return tr, nil
}

func in(field string, err error) error {
	if err != nil {
		return fmt.Errorf("in %.100q: %w", field, err)
	}
	return nil
}

func (s *scanner) fieldInto(f fields, key string) error {
	raw, err := s.Value()
	if err != nil {
		return err
	}
	f[key] = raw
	return nil
}

func (s *scanner) fieldsInto(f fields) error {
	return s.Object(func(key string) error { return s.fieldInto(f, key) })
}

func (s *scanner) status(st *status) error {
	st.fields = fields{}
	if s.Null() {
		return nil
	}
	st.present = true
	return s.Object(func(key string) error {
		switch key {
		case "results":
			return in(key, s.results(&st.results))
		case "steps":
			return in(key, s.steps(&st.steps))
		}
		return in(key, s.fieldInto(st.fields, key))
	})
}

// objects consumes an array of objects, or a null, which stands for an empty array, and returns its
// text.
func (s *scanner) objects(object func() error) (json.RawMessage, error) {
	s.Peek()
	start := s.Pos()
	if s.Null() {
		return s.From(start), nil
	}
	err := s.Array(object)
	return s.From(start), err
}

func (s *scanner) results(r *results) error {
	r.present = true
	raw, err := s.objects(func() error {
		var e entry
		err := s.entry(&e)
		r.list = append(r.list, e)
		return err
	})
	r.raw, r.index = raw, indexOf(r.list)
	return err
}

func (s *scanner) entry(e *entry) error {
	return s.Object(func(key string) (err error) {
		switch key {
		case "name":
			e.name, err = s.Text()
		case "type":
			e.typ, err = s.Text()
		case "value":
			if e.value, err = s.Value(); err == nil && e.value[0] == '"' {
				e.size = int64(len(e.value) - len(`""`) - s.Escaped())
			}
		default:
			if e.extra == nil {
				e.extra = fields{}
			}
			err = s.fieldInto(e.extra, key)
		}
		return in(key, err)
	})
}

func (s *scanner) steps(st *steps) error {
	st.present = true
	raw, err := s.objects(func() error {
		one := step{fields: fields{}}
		err := s.Object(func(key string) error {
			if key == "results" {
				return in(key, s.results(&one.results))
			}
			return in(key, s.fieldInto(one.fields, key))
		})
		one.name = one.fields.text("name")
		st.list = append(st.list, one)
		return err
	})
	st.raw, st.index = raw, indexOf(st.list)
	return err
}
