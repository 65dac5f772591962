package guard

import (
	"encoding/json"
	"fmt"

	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// typed converts a published result as Tekton converts a result file's text (filterResults in its
// pkg/pod/status.go). A result declared "string" is the text itself. Otherwise the text decides: a
// JSON list of strings is an array, a JSON object of strings an object, anything else a string.
// merge.go then compares it with the declared type.
//
// The text is sent as a JSON string; a type, if given, must be the outcome's.
func typed(e entry, declared string) (entry, error) {
	if len(e.value) == 0 || e.value[0] != '"' {
		return entry{}, fmt.Errorf("result %.100q: the value must be a string, the text of the result's file", e.name)
	}
	out := entry{name: e.name, typ: declared, value: e.value, size: e.size}
	if declared != stringType {
		v, err := interpret(e.value)
		if err != nil {
			return entry{}, fmt.Errorf("result %.100q: %w", e.name, err)
		}
		if len(v.object) > maxKeys {
			return entry{}, fmt.Errorf("result %.100q: an object of %d keys, the limit is %d", e.name, len(v.object), maxKeys)
		}
		out.typ = v.Type
		out.size = 0
		if out.value, err = json.Marshal(v); err != nil {
			return entry{}, fmt.Errorf("result %.100q: write the value: %w", e.name, err)
		}
	}
	if e.typ != "" && e.typ != out.typ {
		return entry{}, fmt.Errorf("result %.100q: the value is of another type than the one given", e.name)
	}
	return out, nil
}

func interpret(raw json.RawMessage) (v resultValue, err error) {
	text, err := jsonscan.DecodeText(raw)
	if err != nil {
		return resultValue{}, err
	}
	return v, v.UnmarshalJSON([]byte(text))
}
