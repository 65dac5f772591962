package guard

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
)

const storedResults = `{"results":[{"name":"text","type":"string","value":"x"},{"name":"list","type":"array","value":["a"]}]}`

func TestControllerWrites(t *testing.T) {
	tests := []struct {
		name     string
		stored   string
		incoming string // a merge patch of the stored status
		want     string // a merge patch of the incoming status
		restored float64
	}{
		{name: "keeps stored results that a stale status lacks", stored: storedResults,
			incoming: `{"results":null,"conditions":[{"type":"Succeeded","status":"True"}]}`, want: storedResults,
			restored: 2},
		{name: "keeps a stored result that the write changes", stored: storedResults,
			incoming: `{"results":[{"name":"text","type":"string","value":"forged"},{"name":"list","type":"array","value":["a"]}]}`, want: storedResults, restored: 1},
		{name: "keeps stored results whose order the write changes", stored: storedResults,
			incoming: `{"results":[{"name":"list","type":"array","value":["a"]},{"name":"text","type":"string","value":"x"}]}`,
			want:     storedResults},
		{name: "keeps what the controller adds, after the stored results", stored: storedResults,
			incoming: `{"results":[{"name":"new","type":"string","value":"n"},{"name":"text","type":"string","value":"x"}]}`,
			want:     `{"results":[{"name":"text","type":"string","value":"x"},{"name":"list","type":"array","value":["a"]},{"name":"new","type":"string","value":"n"}]}`, restored: 1},
		{name: "leaves alone a write that keeps the results", stored: storedResults,
			incoming: `{"completionTime":"2026-01-02T03:05:00Z"}`, want: `{}`},
		{name: "leaves alone results of a run that had none", incoming: storedResults, want: `{}`},
		{name: "restores in a finished run too",
			stored:   `{"completionTime":"2026-01-02T03:05:00Z","results":[{"name":"text","type":"string","value":"x"}]}`,
			incoming: `{"results":[]}`, want: `{"results":[{"name":"text","type":"string","value":"x"}]}`, restored: 1},
		{name: "lets results go at a retry, and step results with them, into the attempt that has ended",
			stored:   `{"results":[{"name":"text","type":"string","value":"x"}],"steps":[{"name":"build","container":"step-build","results":[{"name":"digest","type":"string","value":"d"}]},{"name":"sign"}]}`,
			incoming: `{"results":null,"podName":"","retriesStatus":[{"podName":"build-pod"}]}`,
			want: `{"steps":[{"name":"build","container":"step-build"},{"name":"sign"}],"retriesStatus":[{"podName":"build-pod",
			  "results":[{"name":"text","type":"string","value":"x"}],"steps":[{"name":"build","container":"step-build","results":[{"name":"digest","type":"string","value":"d"}]}]}]}`, restored: 2},
		{name: "leaves alone an attempt that has its results",
			stored:   `{"results":[{"name":"text","type":"string","value":"x"}],"steps":[{"name":"build","results":[{"name":"digest","type":"string","value":"d"}]}]}`,
			incoming: `{"results":null,"podName":"","steps":[{"name":"build"}],"retriesStatus":[{"results":[{"name":"text","type":"string","value":"x"}],"steps":[{"name":"build","results":[{"name":"digest","type":"string","value":"d"}]}]}]}`, want: `{}`},
		{name: "leaves alone an attempt that is null",
			stored:   `{"results":[{"name":"text","type":"string","value":"x"}]}`,
			incoming: `{"results":null,"podName":"","retriesStatus":[null]}`, want: `{}`},
		{name: "leaves the attempts before alone",
			stored:   `{"retriesStatus":[{"results":[{"name":"text","type":"string","value":"w"}]}],"results":[{"name":"text","type":"string","value":"x"}]}`,
			incoming: `{"results":null,"podName":"","retriesStatus":[{"results":[{"name":"text","type":"string","value":"w"}]},{"results":[{"name":"text","type":"string","value":"x"}]}]}`, want: `{}`},
		{name: "leaves alone an attempt that is no object",
			stored:   `{"results":[{"name":"text","type":"string","value":"x"}]}`,
			incoming: `{"results":null,"podName":"","retriesStatus":[5]}`, want: `{}`},
		{name: "lets results go at a second retry",
			stored:   `{"retriesStatus":[{}],"results":[{"name":"text","type":"string","value":"x"}]}`,
			incoming: `{"results":null,"podName":"","retriesStatus":[{},{}]}`,
			want:     `{"retriesStatus":[{},{"results":[{"name":"text","type":"string","value":"x"}]}]}`, restored: 1},
		{name: "restores if the pod's name stays", stored: storedResults,
			incoming: `{"results":null,"retriesStatus":[{}]}`, want: storedResults, restored: 2},
		{name: "restores if no attempt was added", stored: `{"retriesStatus":[{}],` + storedResults[1:],
			incoming: `{"results":null,"podName":""}`, want: storedResults, restored: 2},
		{name: "restores if two attempts were added", stored: storedResults,
			incoming: `{"results":null,"podName":"","retriesStatus":[{},{}]}`, want: storedResults, restored: 2},
		{name: "restores if the retry brings results", stored: storedResults,
			incoming: `{"results":[{"name":"text","type":"string","value":"forged"}],"podName":"","retriesStatus":[{}]}`,
			want:     storedResults, restored: 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stored := running
			if tt.stored != "" {
				stored = withStatus(t, tt.stored)
			}
			incoming := mergePatch(t, stored, `{"status":`+tt.incoming+`}`)
			b := newBench(t)
			b.options = b.options.withDefaults()
			resp, got := b.guard(trustedController, stored, incoming)
			if !resp.Allowed {
				t.Fatalf("denied: %s", resp.Result.Message)
			}
			wantSame(t, got, mergePatch(t, incoming, `{"status":`+tt.want+`}`))
			if n := counted(t, b.options.Metrics.restored); n != tt.restored {
				t.Errorf("counted %v results put back, want %v", n, tt.restored)
			}
		})
	}
}

func TestControllerCannotRemoveTheStatusOfARunWithResults(t *testing.T) {
	b := newBench(t)
	stored := withStatus(t, storedResults)
	resp, _ := b.guard(trustedController, stored, mergePatch(t, stored, `{"status":null}`))
	b.wantDenied(resp, 422, "once", "status cannot be removed")
}

func TestOthersWrites(t *testing.T) {
	const stored = `{"results":[{"name":"text","type":"string","value":"x"}],
	  "steps":[{"name":"build","results":[{"name":"digest","type":"string","value":"d"}]},{"name":"sign"}]}`
	for _, tt := range []struct {
		name, patch string
		allow       bool
	}{
		{name: "allow a person to write conditions", patch: `{"conditions":[{"type":"Succeeded","status":"False"}]}`,
			allow: true},
		{name: "allow a person to change a step's state",
			patch: `{"steps":[{"name":"build","imageID":"x","results":[{"name":"digest","type":"string","value":"d"}]}]}`,
			allow: true},
		{
			name:  "forbid a person to change a result",
			patch: `{"results":[{"name":"text","type":"string","value":"y"}]}`,
		},
		{name: "forbid a person to add a result",
			patch: `{"results":[{"name":"text","type":"string","value":"x"},{"name":"list","value":"[]"}]}`},
		{name: "forbid a person to remove the results", patch: `{"results":null}`},
		{name: "forbid a person to change a result's type", patch: `{"results":[{"name":"text","value":"x"}]}`},
		{name: "forbid a person to reset the run as a retry does",
			patch: `{"results":null,"podName":"","retriesStatus":[{}]}`},
		{name: "forbid a person to change a step result",
			patch: `{"steps":[{"name":"build","results":[{"name":"digest","type":"string","value":"e"}]}]}`},
		{name: "forbid a person to add a step result",
			patch: `{"steps":[{"name":"build","results":[{"name":"digest","type":"string","value":"d"}]},{"name":"sign","results":[{"name":"sig","value":"s"}]}]}`},
		{name: "forbid a person to remove a step with results", patch: `{"steps":[{"name":"sign"}]}`},
		{name: "forbid a person to hide step results behind a second step of the name",
			patch: `{"steps":[{"name":"build","results":[{"name":"digest","type":"string","value":"d"}]},{"name":"build","results":[{"name":"digest","type":"string","value":"e"}]}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := withStatus(t, stored)
			b := newBench(t)
			incoming := mergePatch(t, before, `{"status":`+tt.patch+`}`)
			resp, got := b.guard(person, before, incoming)
			if !tt.allow {
				b.wantDenied(resp, 403, "others", "status.")
				return
			}
			if !resp.Allowed {
				t.Fatalf("denied: %s", resp.Result.Message)
			}
			wantSame(t, got, incoming)
		})
	}
}

func TestCarryOver(t *testing.T) {
	const published = `{"steps":[
	  {"name":"build","container":"step-build","running":{},"results":[{"name":"digest","type":"string","value":"d"}]},
	  {"name":"sign","container":"step-sign","running":{}}]}`
	const failed = `{"conditions":[{"type":"Ready","status":"True"},{"type":"Succeeded","status":"False","message":"\"step-sign\" exited with code 74"}],
	  "steps":[{"name":"build","container":"step-build"},{"name":"sign","container":"step-sign","terminationReason":"ResultsNotPublished",
	  "terminated":{"exitCode":74,"message":"[{\"key\":\"x\",\"value\":\"y\",\"type\":1},{\"key\":\"indelible.dev/publish\",\"value\":\"result \\\"text\\\" is too large\"}]"}}]}`
	const because = `; results not published: result "text" is too large`
	tests := []struct {
		name     string
		user     authenticationv1.UserInfo
		stored   string
		incoming string
		want     string
		events   recordedEvents
	}{
		{name: "keeps step results that the rebuilt list lacks", stored: published,
			incoming: `{"steps":[{"name":"build","container":"step-build","terminated":{"exitCode":0}},{"name":"sign","container":"step-sign","terminated":{"exitCode":0}}]}`,
			want: `{"steps":[{"name":"build","container":"step-build","terminated":{"exitCode":0},"results":[{"name":"digest","type":"string","value":"d"}]},
			  {"name":"sign","container":"step-sign","terminated":{"exitCode":0}}]}`},
		{name: "keeps the stored value of a step result that the write changes", stored: published,
			incoming: `{"steps":[{"name":"build","results":[{"name":"digest","type":"string","value":"forged"},{"name":"more","type":"string","value":"m"}]}]}`,
			want:     `{"steps":[{"name":"build","results":[{"name":"digest","type":"string","value":"d"},{"name":"more","type":"string","value":"m"}]}]}`},
		{name: "keeps a step with results that the rebuilt list lacks", stored: published,
			incoming: `{"steps":[{"name":"sign","container":"step-sign"}]}`,
			want:     `{"steps":[{"name":"sign","container":"step-sign"},{"name":"build","container":"step-build","running":{},"results":[{"name":"digest","type":"string","value":"d"}]}]}`},
		{name: "keeps steps with results though the list is gone", stored: published, incoming: `{"steps":null}`,
			want: `{"steps":[{"name":"build","container":"step-build","running":{},"results":[{"name":"digest","type":"string","value":"d"}]}]}`},
		{name: "lets step results go at a retry", stored: published,
			incoming: `{"podName":"","retriesStatus":[{}],"steps":[{"name":"build"}]}`, want: `{}`},
		{name: "leaves another writer's status alone", user: person, stored: published, incoming: `{"steps":null}`,
			want: `{}`},
		{name: "explains a failure in the condition and one event", incoming: failed,
			want: `{"conditions":[{"type":"Ready","status":"True"},{"type":"Succeeded","status":"False","message":` +
				string(quoteJSON(`"step-sign" exited with code 74`+because)) + `}]}`,
			events: recordedEvents{`Warning ResultsNotPublished: results not published: result "text" is too large`}},
		{name: "explains a failure again without a second event",
			stored: `{"conditions":[{"type":"Succeeded","status":"False","message":` +
				string(quoteJSON("x"+because)) + `}]}`,
			incoming: failed,
			want: `{"conditions":[{"type":"Ready","status":"True"},{"type":"Succeeded","status":"False","message":` +
				string(quoteJSON(`"step-sign" exited with code 74`+because)) + `}]}`},
		{name: "explains a failure whose step says nothing, as far as it can",
			incoming: `{"conditions":[{"type":"Succeeded","status":"False"}],"steps":[{"name":"sign","terminationReason":"ResultsNotPublished","terminated":{"message":"no JSON"}}]}`,
			want:     `{"conditions":[{"type":"Succeeded","status":"False","message":"results not published: the step does not say why"}]}`,
			events:   recordedEvents{"Warning ResultsNotPublished: results not published: the step does not say why"}},
		{name: "explains nothing while the run goes on",
			incoming: strings.Replace(failed, `"status":"False"`, `"status":"Unknown"`, 1), want: `{}`},
		{name: "explains a failure whose step was skipped after another one failed",
			incoming: strings.Replace(failed, `ResultsNotPublished`, `Skipped`, 1),
			want: `{"conditions":[{"type":"Ready","status":"True"},{"type":"Succeeded","status":"False","message":` +
				string(quoteJSON(`"step-sign" exited with code 74`+because)) + `}]}`,
			events: recordedEvents{`Warning ResultsNotPublished: results not published: result "text" is too large`}},
		{name: "explains no failure of which no publisher speaks",
			incoming: strings.Replace(strings.Replace(failed, `ResultsNotPublished`, `Error`, 1),
				`indelible.dev/publish`,
				`theirs`, 1), want: `{}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stored := running
			if tt.stored != "" {
				stored = withStatus(t, tt.stored)
			}
			if tt.user.Username == "" {
				tt.user = trustedController
			}
			incoming := mergePatch(t, stored, `{"status":`+tt.incoming+`}`)
			b := newBench(t)
			resp, got := b.carryOver(tt.user, stored, incoming)
			if !resp.Allowed {
				t.Fatalf("denied: %s", resp.Result.Message)
			}
			wantSame(t, got, mergePatch(t, incoming, `{"status":`+tt.want+`}`))
			if diff := cmp.Diff(tt.events, b.events); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			_, twice := b.carryOver(tt.user, stored, got)
			wantSame(t, twice, got)
		})
	}
}

func TestCarryOverBoundsWhatAPodSays(t *testing.T) {
	said := quoteJSON(`[{"key":"indelible.dev/publish","value":"a\nb\u0000` + strings.Repeat("é", 2000) + `"}]`)
	incoming := withStatus(t,
		`{"conditions":[{"type":"Succeeded","status":"False"}],"steps":[{"name":"sign","terminationReason":"ResultsNotPublished","terminated":{"message":`+string(said)+`}}]}`)
	b := newBench(t)
	b.carryOver(trustedController, running, incoming)
	if len(b.events) != 1 || len(b.events[0]) > 1100 || !strings.Contains(b.events[0], ": a b éé") {
		t.Errorf("got %q", b.events)
	}
}

func TestDryRunsDecideAlikeWithoutTraces(t *testing.T) {
	dryRun := true
	b := newBench(t)
	b.options = b.options.withDefaults()
	req := request(trustedController, running,
		withStatus(t,
			`{"conditions":[{"type":"Succeeded","status":"False"}],"steps":[{"name":"sign","terminationReason":"ResultsNotPublished"}]}`))
	req.DryRun = &dryRun
	if resp, _ := b.complete(NewCarryOver(b.options), req); len(resp.Patch) == 0 {
		t.Error("the condition is not explained")
	}
	stored := withStatus(t, storedResults)
	req = request(trustedController, stored, mergePatch(t, stored, `{"status":{"results":null}}`))
	req.DryRun = &dryRun
	if resp, _ := b.complete(NewGuard(b.options), req); len(resp.Patch) == 0 {
		t.Error("the results are not put back")
	}
	if len(b.events) > 0 || counted(t, b.options.Metrics.explanations) > 0 ||
		counted(t, b.options.Metrics.restored) > 0 {
		t.Errorf("a dry run left traces: %q", b.events)
	}
}

func TestCarryOverNeverDenies(t *testing.T) {
	for _, raw := range []string{"", "{", "[]", `{"status":5}`, `{"status":{"steps":5}}`} {
		b := newBench(t)
		if resp, _ := b.complete(NewCarryOver(b.options), request(trustedController, running, raw)); !resp.Allowed {
			t.Errorf("denied %q: %s", raw, resp.Result.Message)
		}
	}
}
