package archiver

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
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
		err := members(text, func(key []byte, value span) error {
			var name string
			if !valid || json.Unmarshal([]byte(`"`+string(key)+`"`), &name) != nil {
				return nil
			}
			got[name] = value.of(text)
			return nil
		})
		if !valid {
			return // it must only end
		}
		if err != nil || len(got) != len(want) {
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
		if err := (wanted{"z": new(string)}).read([]byte(whole[:n])); err == nil {
			t.Errorf("%q is taken for an object", whole[:n])
		}
	}
}

func TestStream(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	lines := []string{
		`{"type":"ADDED","object":{"kind":"TaskRun","metadata":{"name":"first"},"spec":{"a":"` + large + `"}}}`,
		`{ "object": {"metadata":{"name":"turned round"}}, "type": "MODIFIED" }`,
		`{"type":"BOOKMARK","object":{"kind":"TaskRun","metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}}`,
		`{"type":"ERROR","object":{"kind":"Status","reason":"Expired","code":410}}`,
		`{"type":"DELETED","object":{"metadata":{"name":1}}}`,
		`{"type":"ADDED","object":{"metadata":{"name":"cut off"`,
	}
	connection := &closed{Reader: strings.NewReader(strings.Join(lines, "\n"))}
	s := newStream(connection, func(object []byte) (runtime.Object, error) {
		s := &sighting{}
		return s, s.read(object)
	})
	var got []string
	for event := range s.ResultChan() {
		switch o := event.Object.(type) {
		case *sighting:
			got = append(got, string(event.Type)+" "+o.Name+o.ResourceVersion+o.Annotations["k8s.io/initial-events-end"])
		default:
			text, _ := json.Marshal(o)
			var status struct{ Reason string }
			_ = json.Unmarshal(text, &status)
			got = append(got, string(event.Type)+" "+status.Reason)
		}
	}
	want := []string{"ADDED first", "MODIFIED turned round", "BOOKMARK 7true", "ERROR Expired", "ERROR InternalError"}
	if strings.Join(got, "; ") != strings.Join(want, "; ") {
		t.Errorf("events %q, want %q", got, want)
	}
	if !connection.yes {
		t.Error("the connection is left open")
	}
}

// closed is a connection that notes its end.
type closed struct {
	io.Reader
	yes bool
}

func (c *closed) Close() error { c.yes = true; return nil }

// A watch that nobody reads from any more ends its connection.
func TestStreamThatIsStopped(t *testing.T) {
	from, to := io.Pipe()
	s := newStream(from, func([]byte) (runtime.Object, error) { return &sighting{}, nil })
	if _, err := to.Write([]byte(`{"type":"ADDED","object":{"a":{}}}` + "\n")); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if _, err := to.Write([]byte("\n")); err == nil {
		t.Error("the connection is still read")
	}
	for range s.ResultChan() { // until it is closed
	}
	var _ watch.Interface = s
}

// finishedTaskRun is one as an API server sends it, whose result is that many bytes long.
func finishedTaskRun(size int) []byte {
	return []byte(`{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"a","namespace":"b","uid":"c","creationTimestamp":"2026-11-20T10:42:11Z",` +
		`"labels":{"app":"x"},"managedFields":[` + strings.Repeat(`{"fieldsV1":{"f:status":{"f:steps":{}}}},`, 60) + `{}]},"spec":{"params":["` +
		strings.Repeat("parameter ", 300) + `"]},"status":{"conditions":[{"type":"Succeeded","status":"True"}],"results":[{"value":"` +
		strings.Repeat("r", size) + `"}]}}`)
}

func BenchmarkSighting(b *testing.B) {
	text := finishedTaskRun(2100)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if err := new(sighting).read(text); err != nil {
			b.Fatal(err)
		}
	}
}
