package run

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestRecordOf(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"no managedFields": {`{"kind":"A","metadata":{"name":"n"},"spec":{}}`,
			`{"kind":"A","metadata":{"name":"n"},"spec":{}}`},
		"in the middle": {`{"metadata":{"a":1,"managedFields":[{"x":{}}],"name":"n"},"spec":1.50}`,
			`{"metadata":{"a":1,"name":"n"},"spec":1.50}`},
		"first": {`{"metadata":{"managedFields":[],"name":"n"}}`, `{"metadata":{"name":"n"}}`},
		"last":  {`{"metadata":{"name":"n","managedFields":[1,"]}"]}}`, `{"metadata":{"name":"n"}}`},
		"alone": {`{"metadata":{"managedFields":null}}`, `{"metadata":{}}`},
		"spaces": {" { \"metadata\" : { \"managedFields\" : [ ] , \"name\" : \"n\" } }\n",
			"{ \"metadata\" : { \"name\" : \"n\" } }"},
		"elsewhere stays": {`{"metadata":{"annotations":{"managedFields":"[]"}},"managedFields":[]}`,
			`{"metadata":{"annotations":{"managedFields":"[]"}},"managedFields":[]}`},
		"numbers stay": {`{"metadata":{"managedFields":[]},"spec":[1e400,9007199254740993]}`,
			`{"metadata":{},"spec":[1e400,9007199254740993]}`},
		"metadata at the end": {`{"spec":{"metadata":{"managedFields":[]}},"metadata":{"name":"n","managedFields":[]}}`,
			`{"spec":{"metadata":{"managedFields":[]}},"metadata":{"name":"n"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := RecordOf([]byte(test.in))
			if err != nil || compact(t, got) != compact(t, []byte(test.want)) {
				t.Errorf("got %s, %v; want %s", got, err, test.want)
			}
		})
	}
	const event = `{"metadata":{"name":"n","uid":"u","resourceVersion":"1","managedFields":[],"namespace":"m"},"involvedObject":{"uid":"v","resourceVersion":"2"}}`
	want := `{"metadata":{"name":"n","namespace":"m"},"involvedObject":{"uid":"v","resourceVersion":"2"}}`
	if got, err := RecordOf([]byte(event), "uid", "resourceVersion"); err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	const without = `{"metadata":{"name":"n"},"involvedObject":{"uid":"v"}}`
	got, err := Without([]byte(`{"metadata":{"name":"n"},"involvedObject":{"uid":"v","resourceVersion":"2"}}`),
		"involvedObject", "resourceVersion")
	if err != nil || string(got) != without {
		t.Errorf("got %s, %v; want %s", got, err, without)
	}
	for _, in := range []string{"", "[]", `{"metadata":[]}`, `{"metadata":{"managedFields":`,
		`{"metadata":{"managedFields":[}}}`, `"x"`} {
		if got, err := RecordOf([]byte(in)); err == nil {
			t.Errorf("%q gives %q", in, got)
		}
	}
	const whole = `{"metadata":{"managedFields":[{"a":"]}"}],"name":"n"},"spec":{"a":[1]}}`
	for n := range len(whole) {
		if got, err := RecordOf([]byte(whole[:n])); err == nil {
			t.Errorf("%q is taken for an object: %q", whole[:n], got)
		}
	}
}

func compact(t *testing.T, data []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, data); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return b.String()
}

// The record decodes to the same as the object, except for metadata.managedFields.
func FuzzRecordOf(f *testing.F) {
	f.Add([]byte(`{"metadata":{"a":1,"managedFields":[{"x":{}}],"name":"n"},"spec":1.5}`))
	f.Add([]byte(`{"metadata":{"managedFields":1}}`))
	f.Add([]byte(`{"metadata":{"managedFields":1,"managedFields":2,"a":3}}`))
	f.Fuzz(func(t *testing.T, object []byte) {
		got, err := RecordOf(bytes.Clone(object))
		var want map[string]any
		if json.Unmarshal(object, &want) != nil {
			return // it must only end
		}
		metadata, ok := want["metadata"].(map[string]any)
		if !ok || bytes.Count(object, []byte(`managedFields`)) > 1 || bytes.Count(object, []byte(`metadata`)) > 1 ||
			bytes.ContainsAny(object, `\`) {
			return // names that are there twice: the API server sends none
		}
		delete(metadata, "managedFields")
		if err != nil {
			t.Fatalf("%q: %v", object, err)
		}
		var record map[string]any
		if err := json.Unmarshal(got, &record); err != nil {
			t.Fatalf("%q gives %q: %v", object, got, err)
		}
		if !reflect.DeepEqual(want, record) {
			t.Errorf("%q gives %q", object, got)
		}
	})
}

func BenchmarkRecordOf(b *testing.B) {
	for name, size := range map[string]int{"small": 2000, "large": 1 << 20} {
		object := finishedTaskRun(size)
		for what, read := range map[string]func() error{
			"record": func() error { _, err := RecordOf(object); return err },
			"parse":  func() error { _, err := Parse(object); return err },
		} {
			b.Run(name+"/"+what, func(b *testing.B) {
				b.SetBytes(int64(len(object)))
				b.ReportAllocs()
				for b.Loop() {
					if err := read(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// finishedTaskRun returns a TaskRun as the API server sends it, with a result of n bytes.
func finishedTaskRun(size int) []byte {
	return []byte(
		`{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"a","namespace":"b","uid":"c","creationTimestamp":"2026-11-20T10:42:11Z",` +
			`"labels":{"app":"x"},"managedFields":[` + strings.Repeat(`{"fieldsV1":{"f:status":{"f:steps":{}}}},`, 60) +
			`{}]},"spec":{"params":["` +
			strings.Repeat("parameter ", 300) +
			`"]},"status":{"conditions":[{"type":"Succeeded","status":"True"}],"results":[{"value":"` +
			strings.Repeat("r", size) + `"}]}}`)
}
