package guard

import (
	"encoding/json"
	"strconv"
	"strings"
)

// operation is one operation of a JSON patch (RFC 6902).
type operation struct {
	op, path string
	value    json.RawMessage
}

// encodePatch writes a patch. The values are already JSON; encoding/json would read each mebibyte
// again.
func encodePatch(ops []operation) []byte {
	var b buffer
	for i, o := range ops {
		b.addString([]string{"[", ","}[min(i, 1)])
		b.addString(`{"op":"` + o.op + `","path":`)
		b.add(quoteJSON(o.path))
		if o.op != "remove" {
			b.addString(`,"value":`)
			b.add(o.value)
		}
		b.addString("}")
	}
	b.addString("]")
	return b
}

// item is an element of a list with named elements: a result or a step.
type item[T any] interface {
	itemName() string
	encode(textWriter)
	// change returns the operations that turn this element, at path, into the wanted one.
	change(path string, want T) []operation
}

// patchList returns the operations that turn a list into the wanted one. Elements that are already
// right are left alone, so that 1 MiB just received is not sent back to the API server.
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
	i := 0 // the next element of got; everything before it is done
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
		case has(inGot, w.itemName()): // it is elsewhere in the list: another order, or a repeated name
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

func (e entry) itemName() string { return e.name }

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
		op := operation{op: "add", path: path + "/value", value: want.value}
		if len(want.value) == 0 {
			op = operation{op: "remove", path: path + "/value"}
		}
		ops = append(ops, op)
	}
	return ops
}

func (s step) itemName() string { return s.name }

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

// pointerToken escapes a field's name for a JSON pointer (RFC 6901).
func pointerToken(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
