package filter

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// DynKind is the type of a JSON value other than null.
type DynKind byte

// Types of JSON values.
const (
	String DynKind = iota
	Number
	Bool
	Nested
)

// Dyn is a JSON value other than null. As a text it is what SQL's ->> returns.
type Dyn struct {
	Kind DynKind
	// Text is a decoded string, or the JSON of anything else.
	Text string
}

// Text makes a JSON string.
func Text(s string) Dyn { return Dyn{String, s} }

// DynOf returns the value of a JSON text, nil for null and invalid JSON.
func DynOf(raw []byte) any {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 {
		return nil
	}
	switch raw[0] {
	case '"':
		text, err := jsonscan.DecodeText(raw)
		if err != nil {
			return nil
		}
		return Text(text)
	case 'n':
		return nil
	case 't', 'f':
		return Dyn{Bool, string(raw)}
	case '{', '[':
		return Dyn{Nested, string(raw)}
	}
	return Dyn{Number, string(raw)}
}

// Lookup follows a path into a JSON text, and copies only what it finds. It returns nil if there is
// nothing.
func Lookup(raw []byte, path []Step) any {
	for _, step := range path {
		if raw = member(raw, step); raw == nil {
			return nil
		}
	}
	return DynOf(raw)
}

var errFound = errors.New("found")

func member(raw []byte, step Step) (found []byte) {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0:
	case step.IsIndex && raw[0] == '[':
		return element(raw, step.Element)
	case !step.IsIndex && raw[0] == '{':
		_ = jsonscan.Members(raw, func(key []byte, value jsonscan.Span) error {
			if isKey(key, step.Field) {
				found = value.Of(raw)
				return errFound // the rest may be long
			}
			return nil
		})
	}
	return found
}

func isKey(raw []byte, key string) bool {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw) == key
	}
	text, err := jsonscan.DecodeText(slices.Concat([]byte{'"'}, raw, []byte{'"'}))
	return err == nil && text == key
}

// element counts from the end if n is negative, like jsonb.
func element(raw []byte, n int) []byte {
	var all [][]byte
	if err := jsonscan.Elements(raw, func(e []byte) error { all = append(all, e); return nil }); err != nil {
		return nil
	}
	if n < 0 {
		n += len(all)
	}
	if n < 0 || n >= len(all) {
		return nil
	}
	return all[n]
}

// text returns what ->> returns.
func (d Dyn) text() string {
	if d.Kind != Nested {
		return d.Text
	}
	decoder := json.NewDecoder(strings.NewReader(d.Text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return d.Text
	}
	var text strings.Builder
	writeJSONB(&text, value)
	return text.String()
}

// writeJSONB writes JSON as Postgres writes jsonb: a space after colons and commas, shorter keys
// first.
func writeJSONB(to *strings.Builder, value any) {
	switch v := value.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for key := range v {
			keys = append(keys, key)
		}
		slices.SortFunc(keys, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
		to.WriteByte('{')
		for i, key := range keys {
			if i > 0 {
				to.WriteString(", ")
			}
			writeText(to, key)
			to.WriteString(": ")
			writeJSONB(to, v[key])
		}
		to.WriteByte('}')
	case []any:
		to.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				to.WriteString(", ")
			}
			writeJSONB(to, item)
		}
		to.WriteByte(']')
	case string:
		writeText(to, v)
	case json.Number:
		to.WriteString(v.String())
	case bool:
		to.WriteString(strconv.FormatBool(v))
	default:
		to.WriteString("null")
	}
}

func writeText(to *strings.Builder, text string) {
	var line strings.Builder
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(text) == nil {
		to.WriteString(strings.TrimSuffix(line.String(), "\n"))
	}
}

// number returns the value of a JSON number.
func (d Dyn) number() (float64, bool) {
	if d.Kind != Number {
		return 0, false
	}
	n, err := strconv.ParseFloat(d.Text, 64)
	return n, err == nil
}

// timeFormats are those of Postgres' formats that users of Tekton Results write.
var timeFormats = []string{
	time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006/01/02T15:04:05.999999999Z07:00",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999", "2006-01-02",
}

// parseTime parses a time, which is in UTC if it has no zone.
func parseTime(text string) (time.Time, bool) {
	for _, format := range timeFormats {
		if t, err := time.Parse(format, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
