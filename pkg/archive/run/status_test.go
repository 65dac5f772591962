package run

import (
	"encoding/json"
	"testing"
	"time"
)

func TestTimesThatAnybodyWrote(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want time.Time
	}{
		"as Kubernetes writes them":       {`"2026-11-20T10:42:11Z"`, time.Date(2026, 11, 20, 10, 42, 11, 0, time.UTC)},
		"with a fraction":                 {`"2026-11-20T10:42:11.500000Z"`, time.Date(2026, 11, 20, 10, 42, 11, 500_000_000, time.UTC)},
		"of another zone":                 {`"2026-11-20T10:42:11+01:00"`, time.Date(2026, 11, 20, 9, 42, 11, 0, time.UTC)},
		"none":                            {`null`, time.Time{}},
		"the last second":                 {`"9999-12-31T23:59:59Z"`, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
		"a second of the year 10000":      {`"9999-12-31T23:59:59-23:59"`, time.Time{}},
		"what the API server makes of it": {`"10000-01-01T23:58:59Z"`, time.Time{}},
		"a second before the year 0":      {`"0000-01-01T00:00:00+23:59"`, time.Time{}},
		"words":                           {`"yesterday"`, time.Time{}},
		"an object":                       {`{"a":1}`, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Time{time.Now()}
			if err := json.Unmarshal([]byte(test.text), &got); err != nil || !got.Equal(test.want) {
				t.Errorf("got %s, %v", got, err)
			}
			if _, err := json.Marshal(got.Time); err != nil { // as commits do
				t.Error(err)
			}
		})
	}
}

// What is wrong is left out, and everything else is read.
func TestParseOfAnythingInAStatus(t *testing.T) {
	const right = `"podName":"p","conditions":[{"type":"Succeeded","status":"True","reason":"Succeeded"}],
		"completionTime":"2026-11-20T10:43:00Z","retriesStatus":[{"podName":"p-0"}],
		"childReferences":[{"kind":"TaskRun","name":"c"}],"steps":[{"container":"step-a"}]`
	type read struct {
		finished, completed bool
		attempts, children  int
		first               string
	}
	all := read{true, true, 2, 1, "p-0"}
	for name, test := range map[string]struct {
		spec, wrong string
		want        read
	}{
		"nothing":                    {`{}`, ``, all},
		"a spec that is a list":      {`[7]`, ``, all},
		"a custom task of numbers":   {`{"customRef":{"kind":1}}`, ``, all},
		"annotations that are none":  {`{}`, `"annotations":7,"observedGeneration":"x"`, all},
		"steps that are none":        {`{}`, `"steps":"x"`, all},
		"a step that is none":        {`{}`, `"steps":[7,{"container":{}}]`, all},
		"attempts that are none":     {`{}`, `"retriesStatus":{"podName":7}`, read{true, true, 1, 1, "p"}},
		"a time that is none":        {`{}`, `"completionTime":7`, read{true, false, 2, 1, "p-0"}},
		"a time of the year 10000":   {`{}`, `"completionTime":"9999-12-31T23:59:59-23:59"`, read{true, false, 2, 1, "p-0"}},
		"a transition of that year":  {`{}`, `"conditions":[{"type":"Succeeded","status":"True","lastTransitionTime":"10000-01-01T23:58:59Z"}]`, all},
		"a condition that is a list": {`{}`, `"conditions":[[],{"type":"Succeeded","status":"True"}]`, all},
		"a status of another type":   {`{}`, `"conditions":[{"type":"Succeeded","status":{}}]`, read{false, true, 2, 1, "p-0"}},
		"a child that is none":       {`{}`, `"childReferences":[{"kind":[],"name":"d"},{"kind":"TaskRun","name":"c"}]`, all},
	} {
		t.Run(name, func(t *testing.T) {
			status := map[string]json.RawMessage{}
			for _, members := range []string{right, test.wrong} {
				if err := json.Unmarshal([]byte("{"+members+"}"), &status); err != nil {
					t.Fatal(err)
				}
			}
			text, err := json.Marshal(status)
			if err != nil {
				t.Fatal(err)
			}
			r, err := Parse([]byte(`{"kind":"TaskRun","metadata":{"name":"a","namespace":"n","uid":"u",
				"creationTimestamp":"2026-11-20T10:42:11Z"},"spec":` + test.spec + `,"status":` + string(text) + `}`))
			if err != nil {
				t.Fatalf("it would never be archived: %v", err)
			}
			// A TaskRun has attempts, and a PipelineRun children.
			attempts := r.Attempts()
			r.Kind = PipelineRunKind
			got := read{r.Finished(), r.Completed() != nil, len(attempts), len(r.Children()), attempts[0].PodName}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// A run may have more members than the API server knows. Those that only look like its own are not.
func TestMembersThatLookLikeMetadata(t *testing.T) {
	r, err := Parse([]byte(`{"kind":"TaskRun","Kind":"PipelineRun","METADATA":{"deletionTimestamp":"2026-11-20T10:42:11Z"},
		"metadata":{"name":"a","namespace":"n","uid":"u","creationTimestamp":"2026-11-20T10:42:11Z"},
		"Metadata":{"uid":"another","namespace":"other","annotations":{"indelible.dev/archive":"disabled"}}}`))
	if err != nil || r.UID != "u" || r.Namespace != "n" || r.Kind != "TaskRun" || r.OptedOut() || r.DeletionTimestamp != nil {
		t.Errorf("got %+v, %v", r, err)
	}
}
