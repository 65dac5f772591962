package archiver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// A watch shows every change of every run, each with all of its text, of which a few fields decide whether there is anything to do.
// What follows finds those without decoding the rest: encoding/json alone reads a text twice, and it took most of the archiver's
// time. It is for the API server's own JSON, and relies on that being well-formed: what is decoded is checked, what is skipped is not.

// wanted are fields of a JSON object, and where their values go: a pointer for json.Unmarshal, or wanted fields of an object.
type wanted map[string]any

// read reads an object, or null.
func (w wanted) read(object []byte) error {
	if bytes.Equal(object, []byte("null")) {
		return nil
	}
	return members(object, func(key []byte, value span) error {
		switch to := w[string(key)].(type) {
		case nil:
			return nil
		case wanted:
			return to.read(value.of(object))
		default:
			return json.Unmarshal(value.of(object), to)
		}
	})
}

// span is a part of a text.
type span struct{ from, to int }

func (s span) of(text []byte) []byte { return text[s.from:s.to] }

// members calls found with the name, without quotes, and the place of the value of each member of a JSON object.
func members(object []byte, found func(key []byte, value span) error) error {
	at := skipSpace(object, 0)
	if at == len(object) || object[at] != '{' {
		return fmt.Errorf("no JSON object at byte %d of %d", at, len(object))
	}
	for at = skipSpace(object, at+1); at < len(object) && object[at] != '}'; {
		if object[at] == ',' {
			at = skipSpace(object, at+1)
		}
		key := at
		if at = skipString(object, at); at < 0 {
			return io.ErrUnexpectedEOF
		}
		name := object[key+1 : at-1]
		if at = skipSpace(object, at); at == len(object) || object[at] != ':' {
			return fmt.Errorf("no value after a name at byte %d", at)
		}
		value := skipSpace(object, at+1)
		if at = skipValue(object, value); at < 0 {
			return io.ErrUnexpectedEOF
		}
		if err := found(name, span{value, at}); err != nil {
			return err
		}
		at = skipSpace(object, at)
	}
	if at == len(object) {
		return io.ErrUnexpectedEOF
	}
	return nil
}

func skipSpace(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t') {
		at++
	}
	return at
}

// skipValue returns where the value ends that begins at a place, -1 if it does not end.
func skipValue(text []byte, at int) int {
	for depth := 0; at < len(text); {
		switch text[at] {
		case '"':
			if at = skipString(text, at); at < 0 || depth == 0 {
				return at
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
			if depth < 0 {
				return at // the end of what a number or a literal is in
			}
		case ',', ' ', '\n', '\r', '\t':
			if depth == 0 {
				return at
			}
		}
		at++
	}
	return -1
}

// skipString returns where the string ends whose first quote is at a place, -1 if it does not end.
func skipString(text []byte, at int) int {
	if at >= len(text) || text[at] != '"' {
		return -1
	}
	for at++; ; {
		quote := bytes.IndexByte(text[at:], '"')
		if quote < 0 {
			return -1
		}
		end := at + quote
		escapes := 0
		for escapes < quote && text[end-1-escapes] == '\\' {
			escapes++
		}
		if at = end + 1; escapes%2 == 0 {
			return at
		}
	}
}
