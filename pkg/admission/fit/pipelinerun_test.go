package fit

import (
	"strings"
	"testing"
)

// child is a child reference whose when expression has a value put in.
func child(name, value string) fields {
	return fields{"name": name,
		"whenExpressions": list{fields{"input": value, "operator": "notin", "values": list{"", value}}}}
}

func TestWhenExpressions(t *testing.T) {
	large := text("a", 300_000)
	t.Run("three copies of a value in children and two in a skipped task are shortened as far as needed",
		func(t *testing.T) {
			a := ask(t, "PipelineRun", fields{"status": fields{
				"childReferences": list{child("one", large), child("two", "small")},
				"skippedTasks":    list{child("three", large), child("four", large)},
			}}, fields{})
			if !a.Allowed {
				t.Fatal(a.Result)
			}
			wantStatus(t, a, fields{"childReferences": list{child("one", shortenedText(large)), child("two", "small")}})
			if got := string(marshal(t, a.object)); len(got) > 1_468_416 || !strings.Contains(got, large) {
				t.Errorf("%d bytes are left, want as many copies as fit", len(got))
			}
			if len(a.events) > 0 {
				t.Errorf("events: %q", a.events)
			}
		})
	t.Run("what fits stays", func(t *testing.T) {
		wantUnchanged(t, ask(t, "PipelineRun", fields{"status": fields{"childReferences": list{child("one", large)}}},
			fields{}))
	})
}

func results(values ...string) list {
	var l list
	for i, v := range values {
		l = append(l, fields{"name": string(rune('a' + i)), "value": v})
	}
	return l
}

func TestPipelineResults(t *testing.T) {
	const done = "Tasks Completed: 2"
	two := results(text("x", 800_000), text("y", 799_000))
	const why = `results not stored: the PipelineRun is 1599287 bytes (1.53 MiB) as stored, with its results, but at most 1564672 bytes (1.49 MiB) can be stored; ` +
		`left out: result "a", 800000 bytes (781.25 KiB). ` + wayOut
	succeeded := func(status, reason, message string, r list) fields {
		return fields{"status": fields{"conditions": condition(status, reason, message), "results": r}}
	}
	t.Run("a PipelineRun that succeeded fails without the largest, with words", func(t *testing.T) {
		a := ask(t, "PipelineRun", succeeded("True", "Succeeded", done, two), fields{})
		wantStatus(t, a,
			fields{"conditions": condition("False", ReasonResultsTooLarge, done+"; "+why), "results": two[1:]})
		if len(a.events) != 1 || a.events[0] != "run PipelineResultsTooLarge: "+why {
			t.Errorf("events: %q", a.events)
		}
	})
	t.Run("one that failed anyway keeps its reason", func(t *testing.T) {
		a := ask(t, "PipelineRun", succeeded("False", "Failed", "", results(text("x", 800_000), text("y", 799_000))),
			fields{})
		got := a.object["status"].(fields)["conditions"].(list)[0].(fields)
		if got["reason"] != "Failed" || !strings.Contains(got["message"].(string), `left out: result "a"`) {
			t.Errorf("%.300v", got)
		}
	})
	t.Run("the event is sent once", func(t *testing.T) {
		a := ask(t, "PipelineRun", succeeded("True", "Succeeded", done, two),
			fields{"status": fields{"conditions": condition("False", ReasonResultsTooLarge, done+"; "+why)}})
		if len(a.events) > 0 {
			t.Errorf("events: %q", a.events)
		}
	})
	t.Run("a value that grows by JSON's escapes says both sizes", func(t *testing.T) {
		a := ask(t, "PipelineRun", succeeded("True", "Succeeded", done, results(text("<", 300_000), text("y", 10))),
			fields{})
		wantStatus(t, a, fields{"results": results("", text("y", 10))[1:]})
		if len(a.events) != 1 || !strings.Contains(a.events[0],
			`result "a", 300000 bytes (292.97 KiB), stored as 1800000 bytes (1.72 MiB) with JSON's escapes`) {
			t.Errorf("events: %q", a.events)
		}
	})
	t.Run("results of 1.45 MiB together are stored", func(t *testing.T) {
		wantUnchanged(t, ask(t, "PipelineRun", succeeded("True", "Succeeded", done,
			results(text("x", 760_000), text("y", 760_000))), fields{}))
	})
	t.Run("a PipelineRun that goes on is not ended", func(t *testing.T) {
		wantUnchanged(t, ask(t, "PipelineRun", succeeded("Unknown", "Running", done, two), fields{}))
	})
}

func TestLargeParametersOfAPipelineRun(t *testing.T) {
	large, other := text("p", 700_000), text("q", 5_000)
	params := list{fields{"name": "big", "value": large}, fields{"name": "list", "value": list{"short", other}},
		fields{"name": "dotted.name",
			"value": fields{"key": text("r", 4096)}}}
	inside := fields{"steps": list{fields{"script": "echo " + large}}}
	overriding := list{fields{"name": "big", "value": "another"}}
	task := func(param, script string) fields {
		return fields{"params": list{fields{"name": "in", "value": param}},
			"taskSpec": fields{"steps": list{fields{"script": script}}}}
	}
	t.Run("values become the references they were put in for", func(t *testing.T) {
		a := ask(t, "PipelineRun", fields{"spec": fields{"params": params, "pipelineRef": fields{"name": "p"}},
			"status": fields{"pipelineSpec": fields{
				"tasks":   list{task(large, "echo "+large+" "+other), task(text("r", 4096), "echo")},
				"finally": list{fields{"when": list{fields{"input": large}}, "params": overriding, "taskSpec": inside}},
			}}}, fields{})
		wantStatus(t, a, fields{"pipelineSpec": fields{
			"tasks": list{task("$(params.big)", "echo $(params.big) $(params.list[1])"),
				task("$(params.dotted.name.key)",
					"echo")},
			"finally": list{
				fields{"when": list{fields{"input": "$(params.big)"}}, "params": overriding, "taskSpec": inside},
			},
		}})
	})
	t.Run("what an embedded Pipeline's copy still has is shortened", func(t *testing.T) {
		a := ask(t, "PipelineRun", fields{"spec": fields{"params": params, "pipelineSpec": fields{}},
			"status": fields{"pipelineSpec": fields{
				"tasks": list{fields{"params": overriding, "taskSpec": inside}},
			}}}, fields{})
		wantUnchanged(t, a) // one copy fits
		a = ask(t, "PipelineRun", fields{"spec": fields{"params": params, "pipelineSpec": fields{}},
			"status": fields{"pipelineSpec": fields{
				"tasks": list{
					fields{"params": overriding, "taskSpec": fields{"steps": list{fields{"script": large + large}}}},
				},
			}}}, fields{})
		wantStatus(t, a, fields{"pipelineSpec": fields{
			"tasks": list{fields{"params": overriding,
				"taskSpec": fields{"steps": list{fields{"script": shortenedText(large + large)}}}}},
		}})
	})
}

func TestCancelled(t *testing.T) {
	const why = `too large for Tekton to write: its status would be about 4 MB`
	cancelled := func(status, message string) fields {
		return fields{"spec": fields{"status": "Cancelled"},
			"status": fields{"conditions": condition(status, "Cancelled", message)}}
	}
	annotated := func(run fields, words string) answer {
		req := requestOf(t, "PipelineRun", run, fields{})
		run["metadata"].(fields)["annotations"] = fields{"indelible.dev/too-large": words}
		req.Object.Raw = marshal(t, run)
		return askAbout(t, req)
	}
	t.Run("the reason is added to the condition", func(t *testing.T) {
		a := annotated(cancelled("False", "was cancelled"), why)
		wantStatus(t, a, fields{"conditions": condition("False", "Cancelled", "was cancelled; "+why)})
	})
	t.Run("once", func(t *testing.T) {
		wantUnchanged(t, annotated(cancelled("False", "was cancelled; "+why), why))
	})
	t.Run("not while it goes on", func(t *testing.T) {
		wantUnchanged(t, annotated(cancelled("Unknown", "Running"), why))
	})
	t.Run("not if it is longer than a reason is", func(t *testing.T) {
		wantUnchanged(t, annotated(cancelled("False", "was cancelled"), text("w", 3000)))
	})
}
