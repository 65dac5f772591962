package jsonscan

import (
	"bytes"
	"encoding/json"
	"testing"
)

var objects = []string{
	`{}`, ` { } `, `null`,
	`{"a":1}`, `{ "a" : -1.5e3 , "b" : true,"c":null }`,
	`{"a":"}\"{","b":"\\","c":"\\\"","d":["]",{"e":"[" }],"f":{}}`,
	`{"a":[[],[{}]],"":{"":""},"ä":"\u0022"}`,
	"{\n\t\"a\": [1, 2,\r\n 3 ],\n \"b\": \"x\"\n}",
}

// What members finds is what encoding/json finds.
func FuzzMembers(f *testing.F) {
	for _, text := range objects {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var want map[string]json.RawMessage
		valid := json.Unmarshal(text, &want) == nil && want != nil
		got := map[string]json.RawMessage{}
		err := Members(text, func(key []byte, value Span) error {
			var name string
			if !valid || json.Unmarshal([]byte(`"`+string(key)+`"`), &name) != nil {
				return nil
			}
			got[name] = value.Of(text)
			return nil
		})
		if (err == nil) != valid {
			t.Fatalf("%q: %v, and for encoding/json it is an object: %v", text, err, valid)
		}
		if valid && len(got) != len(want) {
			t.Fatalf("%d members of %q, want %d: %v", len(got), text, len(want), err)
		}
		for name, value := range want {
			if !bytes.Equal(value, got[name]) {
				t.Errorf("%q of %q is %q, want %q", name, text, got[name], value)
			}
		}
	})
}

// A text that is cut off anywhere is an error, and never half an object.
func TestObjectsThatAreCutOff(t *testing.T) {
	const whole = `{"a":"\\\"x","b":[1,{"c":"]"}],"d":12}`
	for n := range len(whole) {
		if err := (Wanted{"z": new(string)}).Read([]byte(whole[:n])); err == nil {
			t.Errorf("%q is taken for an object", whole[:n])
		}
	}
}
