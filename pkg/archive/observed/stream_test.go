package observed

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

func TestStream(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	lines := []string{
		`{"type":"ADDED","object":{"kind":"TaskRun","metadata":{"name":"first"},"spec":{"a":"` + large + `"}}}`,
		`{ "object": {"metadata":{"name":"turned round"}}, "type": "MODIFIED" }`,
		`{"type":"BOOKMARK","object":{"kind":"TaskRun","metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}}`,
		`{"type":"ERROR","object":{"kind":"Status","reason":"Expired","code":410}}`,
		`{"type":"MODIFIED","object":{"metadata":{"namespace":"team","name":"poisoned","uid":7}}}`,
		`{"type":"DELETED","object":{"metadata":{"name":"after it"}}}`,
		`{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":7}}}`,
		`{"type":"ADDED","object":"no object"}`,
		`{"type":"ADDED","object":{"metadata":{"name":"cut off"`,
	}
	connection := &closed{Reader: strings.NewReader(strings.Join(lines, "\n"))}
	var leftOut []string
	s := (&stream{body: connection, decode: decodeRun, unreadable: func(object []byte) {
		leftOut = append(leftOut, string(object))
	}, ended: func() {}}).start()
	var got []string
	for event := range s.ResultChan() {
		switch o := event.Object.(type) {
		case *Run:
			got = append(got,
				string(event.Type)+" "+o.Name+o.ResourceVersion+o.Annotations["k8s.io/initial-events-end"])
		default:
			text, _ := json.Marshal(o)
			var status struct{ Reason string }
			_ = json.Unmarshal(text, &status)
			got = append(got, string(event.Type)+" "+status.Reason)
		}
	}
	want := []string{"ADDED first", "MODIFIED turned round", "BOOKMARK 7true", "ERROR Expired",
		"DELETED after it", "ERROR InternalError"}
	if strings.Join(got, "; ") != strings.Join(want, "; ") {
		t.Errorf("events %q, want %q", got, want)
	}
	if len(leftOut) != 2 || !strings.Contains(leftOut[0], "poisoned") {
		t.Errorf("left out %q", leftOut)
	}
	if !connection.yes {
		t.Error("the connection is left open")
	}
}

func decodeRun(object []byte) (runtime.Object, error) {
	s := &Run{}
	return s, s.Read(object)
}

// closed is a connection that records its end.
type closed struct {
	io.Reader
	yes bool
}

func (c *closed) Close() error { c.yes = true; return nil }

// A stopped watch closes its connection.
func TestStreamThatIsStopped(t *testing.T) {
	from, to := io.Pipe()
	s := (&stream{body: from, decode: decodeRun, ended: func() {}}).start()
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

func BenchmarkSighting(b *testing.B) {
	text := []byte(
		`{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"a","namespace":"b","uid":"c","creationTimestamp":"2026-11-20T10:42:11Z",` +
			`"labels":{"app":"x"},"managedFields":[` + strings.Repeat(`{"fieldsV1":{"f:status":{"f:steps":{}}}},`, 60) +
			`{}]},"spec":{"params":["` +
			strings.Repeat("parameter ", 300) +
			`"]},"status":{"conditions":[{"type":"Succeeded","status":"True"}],"results":[{"value":"` +
			strings.Repeat("r", 2100) + `"}]}}`)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if err := new(Run).Read(text); err != nil {
			b.Fatal(err)
		}
	}
}
