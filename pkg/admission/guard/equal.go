package guard

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// fields are fields of an object that the guard carries or compares without looking into them.
type fields map[string]json.RawMessage

// sameJSON reports whether two values are equal. The API server encodes both objects of a request
// with the same encoder, so equal values nearly always have equal bytes; only others are decoded.
func sameJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if len(a) == 0 || len(b) == 0 || kind(a) != kind(b) {
		return false
	}
	va, errA := decodeAny(a)
	vb, errB := decodeAny(b)
	return errA == nil && errB == nil && reflect.DeepEqual(va, vb)
}

// kind classifies a value as string, object, list or other by its first byte.
func kind(raw json.RawMessage) byte {
	switch raw[0] {
	case '"', '{', '[':
		return raw[0]
	}
	return 0
}

// decodeAny keeps numbers verbatim: 1 and 1.0 count as different, and nothing is rounded into
// equality.
func decodeAny(raw json.RawMessage) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// firstDifference returns the first field, by name, in which a and b differ. An absent field
// differs from null. An empty name is a valid name.
func firstDifference(a, b fields) (field string, differ bool) {
	note := func(key string) {
		if !differ || key < field {
			field, differ = key, true
		}
	}
	for key, value := range a {
		if other, ok := b[key]; !ok || !sameJSON(value, other) {
			note(key)
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			note(key)
		}
	}
	return field, differ
}

func sameFields(a, b fields) bool {
	_, differ := firstDifference(a, b)
	return !differ
}
