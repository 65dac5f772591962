package fit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
)

// object is a run as it would be stored, and the changes made to it.
type object struct {
	root map[string]any
	// size is its length as JSON, in bytes, with the changes made so far.
	size  int
	patch []jsonpatch.Operation
}

// path leads to a field: a string is a field's name, an int an index in a list.
type path []any

func (p path) then(more ...any) path { return append(p[:len(p):len(p)], more...) }

// String is the path as a JSON pointer (RFC 6901).
func (p path) String() string {
	var b strings.Builder
	for _, key := range p {
		b.WriteByte('/')
		switch k := key.(type) {
		case int:
			b.WriteString(strconv.Itoa(k))
		case string:
			b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(k))
		}
	}
	return b.String()
}

func decode(raw []byte) (*object, error) {
	o := &object{size: len(raw)}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&o.root); err != nil {
		return nil, errors.New("read the object: malformed JSON") // not err: it may quote a value
	}
	if o.root == nil {
		return nil, errors.New("read the object: there is none")
	}
	return o, nil
}

// at returns the value at a path, nil if there is none.
func (o *object) at(p ...any) any {
	var v any = o.root
	for _, key := range p {
		switch k := key.(type) {
		case string:
			fields, _ := v.(map[string]any)
			v = fields[k]
		case int:
			list, _ := v.([]any)
			if k >= len(list) {
				return nil
			}
			v = list[k]
		}
	}
	return v
}

func (o *object) list(p ...any) []any {
	list, _ := o.at(p...).([]any)
	return list
}

func (o *object) text(p ...any) string {
	text, _ := o.at(p...).(string)
	return text
}

// set replaces the value at a path, or adds a field to an existing object.
func (o *object) set(value any, p path) {
	old := o.at(p...)
	parent, last := o.at(p[:len(p)-1]...), p[len(p)-1]
	switch key := last.(type) {
	case string:
		fields, ok := parent.(map[string]any)
		if !ok {
			return
		}
		if _, known := fields[key]; !known {
			o.size += encodedLen(key) + len(`:,`)
		} else {
			o.size -= encodedLen(old)
		}
		fields[key] = value
	case int:
		list, ok := parent.([]any)
		if !ok || key >= len(list) {
			return
		}
		o.size -= encodedLen(old)
		list[key] = value
	}
	o.size += encodedLen(value)
	o.patch = append(o.patch, jsonpatch.NewOperation("add", p.String(), value))
	if _, ok := last.(int); ok {
		o.patch[len(o.patch)-1].Operation = "replace"
	}
}

// eachText calls visit for each string below a path. visit may replace it.
func (o *object) eachText(p path, visit func(p path, text string)) {
	switch v := o.at(p...).(type) {
	case string:
		visit(p, v)
	case []any:
		for i := range v {
			o.eachText(p.then(i), visit)
		}
	case map[string]any:
		for key := range v {
			o.eachText(p.then(key), visit)
		}
	}
}

// encodedLen is the length of a value as the API server writes it: <, > and & as six bytes each,
// like encoding/json.
func encodedLen(v any) int {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("encode what was decoded: %w", err)) // cannot be
	}
	return len(raw)
}
