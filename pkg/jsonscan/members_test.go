package jsonscan

import (
	"bytes"
	"encoding/json"
	"reflect"
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

// What is of another type stays zero, and keeps nothing else from being read.
func TestLenient(t *testing.T) {
	type read struct {
		Name, After string
		List        []struct{ Type string }
	}
	for name, test := range map[string]struct {
		object string
		want   read
		fails  bool
	}{
		"everything is right": {
			`{"name":"n","status":{"list":[{"type":"a"}],"after":"x"}}`, read{"n", "x", []struct{ Type string }{{"a"}}}, false,
		},
		"a list that is none":          {`{"name":"n","status":{"list":7,"after":"x"}}`, read{"n", "x", nil}, false},
		"an object that is none":       {`{"status":"broken","name":"n"}`, read{Name: "n"}, false},
		"an object that is null":       {`{"status":null,"name":"n"}`, read{Name: "n"}, false},
		"a text that is none":          {`{"name":"n","status":{"after":{"a":1}}}`, read{Name: "n"}, false},
		"what is not lenient":          {`{"name":7}`, read{}, true},
		"what is lenient, but no JSON": {`{"name":"n","status":{"after":]}}`, read{Name: "n"}, true},
		"an element of another type":   {`{"status":{"list":[7,{"type":"a"}]}}`, read{List: []struct{ Type string }{{}, {"a"}}}, false},
		"a field of an element is wrong": {
			`{"status":{"list":[{"type":7},{"type":"a"}],"after":"x"}}`, read{"", "x", []struct{ Type string }{{}, {"a"}}}, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got read
			err := Wanted{"name": &got.Name, "status": Lenient{Wanted{"list": &got.List, "after": &got.After}}}.
				Read([]byte(test.object))
			if (err != nil) != test.fails || !test.fails && !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}
