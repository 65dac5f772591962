package guard

import (
	"encoding/json"
	"maps"
	"slices"
)

// textWriter receives JSON piece by piece.
type textWriter interface {
	add(piece []byte)
	addString(piece string)
}

// buffer keeps the bytes; counter only counts them.
type (
	buffer  []byte
	counter int
)

func (b *buffer) add(piece []byte)        { *b = append(*b, piece...) }
func (b *buffer) addString(piece string)  { *b = append(*b, piece...) }
func (c *counter) add(piece []byte)       { *c += counter(len(piece)) }
func (c *counter) addString(piece string) { *c += counter(len(piece)) }

// encoder writes itself as JSON.
type encoder interface{ encode(textWriter) }

func encodeItem[T encoder](one T) json.RawMessage {
	var b buffer
	one.encode(&b)
	return json.RawMessage(b)
}

func encodeList[T encoder](list []T) json.RawMessage {
	b := make(buffer, 0, encodedLen(list))
	writeList(&b, list)
	return json.RawMessage(b)
}

// encodedLen returns the length of what encodeList returns, without making it.
func encodedLen[T encoder](list []T) int {
	var n counter
	writeList(&n, list)
	return int(n)
}

func writeList[T encoder](w textWriter, list []T) {
	w.addString("[")
	for i, one := range list {
		if i > 0 {
			w.addString(",")
		}
		one.encode(w)
	}
	w.addString("]")
}

func (e entry) encode(w textWriter) {
	f := maps.Clone(e.extra)
	if f == nil {
		f = fields{}
	}
	f["name"] = quoteJSON(e.name)
	if e.typ != "" {
		f["type"] = quoteJSON(e.typ)
	}
	if len(e.value) > 0 {
		f["value"] = e.value
	}
	f.encode(w)
}

func (f fields) encode(w textWriter) {
	f.open(w)
	w.addString("}")
}

func (s step) encode(w textWriter) {
	s.fields.open(w)
	if len(s.results.list) > 0 {
		if len(s.fields) > 0 {
			w.addString(",")
		}
		w.addString(`"results":`)
		writeList(w, s.results.list)
	}
	w.addString("}")
}

func (f fields) keys() []string {
	keys := make([]string, 0, len(f))
	for key := range f {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// open writes an object, fields sorted by name, without the closing brace.
func (f fields) open(w textWriter) {
	w.addString("{")
	for i, key := range f.keys() {
		if i > 0 {
			w.addString(",")
		}
		w.add(quoteJSON(key))
		w.addString(":")
		w.add(f[key])
	}
}
