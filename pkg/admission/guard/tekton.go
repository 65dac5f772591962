package guard

import (
	"encoding/json"
	"errors"
	"regexp"
)

// What the guard knows of Tekton's API types (github.com/tektoncd/pipeline, pkg/apis/pipeline/v1).
// The types themselves would bring 259 packages into the webhook for these few names; tests compare
// with them.

// The declared types of results (ResultsType).
const (
	stringType = "string"
	arrayType  = "array"
	objectType = "object"
)

// declaredResult is a result that a Task or a step declares (TaskResult, StepResult).
type declaredResult struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Value refers to a step's result that the Task's result takes its value from; nil if a step
	// writes the Task's result itself.
	Value *resultValue `json:"value"`
}

// resultValue is a result's value (ParamValue). Type says which of the others it has.
type resultValue struct {
	Type   string
	text   string
	array  []string
	object map[string]string
}

// UnmarshalJSON reads a value as Tekton does, which never fails: what is neither a list of strings,
// nor an object of strings, nor a string is the text itself.
func (v *resultValue) UnmarshalJSON(value []byte) error {
	*v = resultValue{Type: stringType}
	if len(value) == 0 {
		return nil
	}
	switch value[0] {
	case '[':
		if json.Unmarshal(value, &v.array) == nil {
			v.Type = arrayType
			return nil
		}
	case '{':
		if json.Unmarshal(value, &v.object) == nil {
			v.Type = objectType
			return nil
		}
	}
	v.array, v.object = nil, nil // what was read before the error
	if json.Unmarshal(value, &v.text) != nil {
		v.text = string(value)
	}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (v resultValue) MarshalJSON() ([]byte, error) {
	switch v.Type {
	case arrayType:
		return json.Marshal(v.array)
	case objectType:
		return json.Marshal(v.object)
	}
	return json.Marshal(v.text)
}

var stepResultReference = regexp.MustCompile(`\$\(steps\.(.*?)\.results\.(.*?)\)`)

var errNoReference = errors.New("not a reference to a step's result")

// stepResultOf returns the step and the result that a value refers to, $(steps.STEP.results.RESULT)
// (ExtractStepResultName).
func stepResultOf(value string) (step, result string, err error) {
	found := stepResultReference.FindStringSubmatch(value)
	if found == nil {
		return "", "", errNoReference
	}
	return found[1], found[2], nil
}
