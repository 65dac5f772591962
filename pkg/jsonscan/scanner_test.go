package jsonscan

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

const maxDepth = 200

// The scanner accepts what encoding/json accepts, but for what nests too deeply, and returns the
// whole of it.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		`{"status":{"podName":"p","steps":[{"name":"a","running":{"startedAt":"2026-11-20T10:42:11Z"}}]}}`, `null`,
		`-0.1e+5`,
		`"\u00e9\\\""`, `[1,[2,{"a":[]}]]`, ` {"a" : 1 , "a" : 2 } `, `01`, `"\x"`, `[1,]`, `{"a"}`, `tru`,
		"\"\x00\"", "\"\xff\"", "\x00", `1 2`, `-`, `.5`, `1.`, `"\ud800"`,
		`[{"a":[{}]},[]]`, `[1}`, `{"a":1]`, `{"a":}`, `{"a" 1}`, `{"a":1 "b":2}`, `[1 2]`, `{,}`, `[[],]`,
		"\"12345678\x0112345678\"", "\"1234567\xe9 !\\\"#\x7f\"",
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), strings.Repeat("[", maxDepth+1) +
			strings.Repeat("]", maxDepth+1), strings.Repeat("[", 10001),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := New(data, maxDepth)
		raw, err := s.Value()
		if err == nil {
			err = s.End()
		}
		if want := json.Valid(data) && depthOf(data) <= maxDepth; (err == nil) != want {
			t.Fatalf("scanner says %v, encoding/json says %v, and finds it nested %d deep", err, json.Valid(data),
				depthOf(data))
		}
		if err == nil && strings.TrimSpace(string(data)) != string(raw) &&
			strings.Trim(string(data), " \t\r\n") != string(raw) {
			t.Fatalf("returned %q of %q", raw, data)
		}
	})
}

// depthOf returns how deeply encoding/json finds valid JSON to nest.
func depthOf(data []byte) (deepest int) {
	depth, decoder := 0, json.NewDecoder(bytes.NewReader(data))
	for {
		token, err := decoder.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
		deepest = max(deepest, depth)
	}
}
