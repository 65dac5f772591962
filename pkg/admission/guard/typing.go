package guard

import (
	"encoding/json"
	"fmt"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

// Typing: what Tekton makes of a result file's text (filterResults in its pkg/pod/status.go). A result declared
// "string" is the text itself. For any other, the text decides: a JSON list of strings is an array, a JSON object
// of strings is an object, the rest is a string. Whether that is the declared type is asked afterwards (merge.go).
//
// The publisher sends the text, as a JSON string. A value that is already a list or an object is taken as it is:
// the guard may meet its own output again, when the API server invokes webhooks a second time.
func typed(e entry, declared pipelinev1.ResultsType) (entry, error) {
	if len(e.value) == 0 {
		return entry{}, fmt.Errorf("result %.100q has no value", e.name)
	}
	isText := e.value[0] == '"'
	out := entry{name: e.name, typ: string(declared), value: e.value}
	if !isText || declared != pipelinev1.ResultsTypeString {
		v, err := interpret(e.value, isText)
		if err != nil {
			return entry{}, fmt.Errorf("result %.100q: %w", e.name, err)
		}
		if !isText && v.Type == pipelinev1.ParamTypeString {
			return entry{}, fmt.Errorf("result %.100q: the value is neither a string nor a list or an object of strings", e.name)
		}
		out.typ = string(v.Type)
		if isText {
			if out.value, err = json.Marshal(v); err != nil {
				return entry{}, fmt.Errorf("result %.100q: write the value: %w", e.name, err)
			}
		}
	}
	if e.typ != "" && e.typ != out.typ {
		return entry{}, fmt.Errorf("result %.100q: the value is of another type than the one given", e.name)
	}
	return out, nil
}

func interpret(value json.RawMessage, isText bool) (pipelinev1.ResultValue, error) {
	text := []byte(value)
	if isText {
		decoded, err := decodeText(value)
		if err != nil {
			return pipelinev1.ResultValue{}, err
		}
		text = []byte(decoded)
	}
	var v pipelinev1.ResultValue
	if err := v.UnmarshalJSON(text); err != nil {
		return pipelinev1.ResultValue{}, fmt.Errorf("interpret the value: %w", err)
	}
	return v, nil
}
