package guard

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// operation is one operation of a JSON patch (RFC 6902).
type operation struct {
	op, path string
	value    json.RawMessage
}

// encodePatch writes a patch. The values are JSON already; encoding/json would read a mebibyte once more.
func encodePatch(ops []operation) []byte {
	var b bytes.Buffer
	for i, o := range ops {
		b.WriteByte("[,"[min(i, 1)])
		b.WriteString(`{"op":"` + o.op + `","path":`)
		b.Write(quoteJSON(o.path))
		if o.op != "remove" {
			b.WriteString(`,"value":`)
			b.Write(o.value)
		}
		b.WriteByte('}')
	}
	b.WriteByte(']')
	return b.Bytes()
}

// item is an element of a list whose elements have names: a result or a step.
type item[T any] interface {
	itemName() string
	encode(*bytes.Buffer)
	// change returns the operations that make this element, at path, into the wanted one.
	change(path string, want T) []operation
}

// patchList returns the operations that make a list what is wanted. It leaves alone what is right already, so that
// a mebibyte which the publisher has just sent is not sent back to the API server once more.
func patchList[T item[T]](path string, present bool, got, want []T) []operation {
	if len(want) == 0 {
		if present {
			return []operation{{op: "remove", path: path}}
		}
		return nil
	}
	if !present || len(got) == 0 {
		return []operation{{op: "add", path: path, value: encodeList(want)}}
	}
	inGot, inWant := indexOf(got), indexOf(want)
	has := func(index map[string]int, name string) bool {
		_, ok := index[name]
		return ok
	}
	var ops []operation
	i := 0 // the next element of got; everything before it is settled
	for j, w := range want {
		at := path + "/" + strconv.Itoa(j)
		for i < len(got) && !has(inWant, got[i].itemName()) {
			ops = append(ops, operation{op: "remove", path: at})
			i++
		}
		switch {
		case i < len(got) && got[i].itemName() == w.itemName():
			ops = append(ops, got[i].change(at, w)...)
			i++
		case has(inGot, w.itemName()): // it stands elsewhere: another order, or a name twice
			return []operation{{op: "replace", path: path, value: encodeList(want)}}
		default:
			ops = append(ops, operation{op: "add", path: at, value: encodeItem(w)})
		}
	}
	for ; i < len(got); i++ {
		ops = append(ops, operation{op: "remove", path: path + "/" + strconv.Itoa(len(want))})
	}
	return ops
}

func encodeItem[T item[T]](one T) json.RawMessage {
	var b bytes.Buffer
	one.encode(&b)
	return b.Bytes()
}

func encodeList[T item[T]](list []T) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, one := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		one.encode(&b)
	}
	b.WriteByte(']')
	return b.Bytes()
}

func (e entry) itemName() string { return e.name }

func (e entry) encode(b *bytes.Buffer) {
	f := fields{"name": quoteJSON(e.name)}
	for key, value := range e.extra {
		f[key] = value
	}
	if e.typ != "" {
		f["type"] = quoteJSON(e.typ)
	}
	if len(e.value) > 0 {
		f["value"] = e.value
	}
	f.encode(b)
}

func (e entry) change(path string, want entry) []operation {
	var ops []operation
	if !sameFields(e.extra, want.extra) {
		return []operation{{op: "replace", path: path, value: encodeItem(want)}}
	}
	if e.typ != want.typ {
		op := operation{op: "add", path: path + "/type", value: quoteJSON(want.typ)}
		if want.typ == "" {
			op = operation{op: "remove", path: path + "/type"}
		}
		ops = append(ops, op)
	}
	if !sameJSON(e.value, want.value) {
		ops = append(ops, operation{op: "add", path: path + "/value", value: want.value})
	}
	return ops
}

func (s step) itemName() string { return s.name }

func (s step) encode(b *bytes.Buffer) {
	f := fields{}
	for key, value := range s.fields {
		f[key] = value
	}
	if len(s.results.list) > 0 {
		f["results"] = encodeList(s.results.list)
	}
	f.encode(b)
}

func (s step) change(path string, want step) []operation {
	var ops []operation
	for _, key := range want.fields.keys() {
		if got, ok := s.fields[key]; !ok || !sameJSON(got, want.fields[key]) {
			ops = append(ops, operation{op: "add", path: path + "/" + pointerToken(key), value: want.fields[key]})
		}
	}
	for _, key := range s.fields.keys() {
		if _, ok := want.fields[key]; !ok {
			ops = append(ops, operation{op: "remove", path: path + "/" + pointerToken(key)})
		}
	}
	return append(ops, patchList(path+"/results", s.results.present, s.results.list, want.results.list)...)
}

func (f fields) keys() []string {
	keys := make([]string, 0, len(f))
	for key := range f {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (f fields) encode(b *bytes.Buffer) {
	b.WriteByte('{')
	for i, key := range f.keys() {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(quoteJSON(key))
		b.WriteByte(':')
		b.Write(f[key])
	}
	b.WriteByte('}')
}

// pointerToken escapes a field's name for a JSON pointer (RFC 6901).
func pointerToken(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
