package fit

import (
	"strings"
	"testing"
)

// consumer is a TaskRun with a parameter and a script, and what else its status has.
func consumer(value, script string, more fields) fields {
	status := fields{"taskSpec": fields{"steps": list{fields{"name": "use", "script": script}}}}
	for key, v := range more {
		status[key] = v
	}
	return fields{"spec": fields{"params": list{fields{"name": "text", "value": value}},
		"taskRef": fields{"name": "task"}},
		"status": status}
}

func script(text string) fields {
	return fields{"steps": list{fields{"name": "use", "script": text}}}
}

func TestReferences(t *testing.T) {
	large := text("a", 1_000_000)
	t.Run("a value used twice is stored once", func(t *testing.T) {
		a := ask(t, "TaskRun", consumer(large, "one "+large+" two "+large+"!", nil), fields{})
		wantStatus(t, a, fields{"taskSpec": script("one $(params.text) two $(params.text)!")})
	})
	t.Run("a status that fits stays as Tekton wrote it", func(t *testing.T) {
		wantUnchanged(t, ask(t, "TaskRun", consumer(text("a", 700_000), text("a", 700_000), nil), fields{}))
	})
	t.Run("a Task with results leaves room for them while it runs", func(t *testing.T) {
		withResults := fields{"results": list{fields{"name": "seen"}},
			"steps": list{fields{"script": text("a", 300_000)}}}
		status := fields{"taskSpec": withResults, "conditions": condition("Unknown", "Running", "")}
		a := ask(t, "TaskRun", consumer(text("a", 300_000), "", status), fields{})
		wantStatus(t, a, fields{"taskSpec": fields{"results": list{fields{"name": "seen"}},
			"steps": list{fields{"script": "$(params.text)"}}}})
		status["conditions"] = condition("True", "Succeeded", "")
		wantUnchanged(t, ask(t, "TaskRun", consumer(text("a", 300_000), "", status), fields{}))
	})
	t.Run("a text that putting values in would change stays", func(t *testing.T) {
		given := "$(params.text) is literal, this is not: " + large
		a := ask(t, "TaskRun", consumer(large, given, nil), fields{})
		wantUnchanged(t, a)
	})
	t.Run("the longer of two values goes first", func(t *testing.T) {
		run := consumer(large, "see "+large+"tail and "+large, nil)
		run["spec"].(fields)["params"] = list{fields{"name": "part", "value": large},
			fields{"name": "all", "value": large + "tail"}}
		a := ask(t, "TaskRun", run, fields{})
		wantStatus(t, a, fields{"taskSpec": script("see $(params.all) and $(params.part)")})
	})
	t.Run("a default counts where no value is given", func(t *testing.T) {
		run := consumer("short", "echo "+large, nil)
		run["status"].(fields)["taskSpec"].(fields)["params"] = list{
			fields{"name": "text", "default": large}, fields{"name": "other", "default": large},
		}
		a := ask(t, "TaskRun", run, fields{})
		got := a.object["status"].(fields)["taskSpec"].(fields)["steps"].(list)[0].(fields)["script"]
		if got != "echo $(params.other)" {
			t.Errorf("the script is %.100q", got)
		}
	})
	t.Run("a value of one letter costs no more than another", func(t *testing.T) {
		// By a strings.Replacer this would take minutes.
		run := consumer(large, text("a", 999_999), nil)
		wantUnchanged(t, ask(t, "TaskRun", run, fields{}))
	})
}

func TestEmbeddedTask(t *testing.T) {
	large := "echo " + text("a", 1_000_000)
	run := fields{"spec": fields{"taskSpec": script(large)}, "status": fields{"taskSpec": script(large)}}
	t.Run("the status' copy is shortened", func(t *testing.T) {
		a := ask(t, "TaskRun", run, fields{})
		wantStatus(t, a, fields{"taskSpec": script(shortenedText(large))})
	})
	t.Run("the only copy of a Task that was referred to stays", func(t *testing.T) {
		run := fields{"spec": fields{"params": list{text("b", 1_000_000)}, "taskRef": fields{"name": "t"}},
			"status": fields{"taskSpec": script(large)}}
		wantUnchanged(t, ask(t, "TaskRun", run, fields{}))
	})
}

func TestRetries(t *testing.T) {
	large := text("a", 800_000)
	attempt := func(value any) fields {
		return fields{"podName": "run-pod", "results": list{fields{"name": "report", "type": "string", "value": value}},
			"steps": list{fields{"name": "s", "results": list{fields{"name": "r", "value": value}}}}}
	}
	declares := fields{"results": list{fields{"name": "report"}}}
	t.Run("the results of earlier attempts make room for the next one's", func(t *testing.T) {
		a := ask(t, "TaskRun", fields{"status": fields{"taskSpec": declares,
			"retriesStatus": list{attempt(large), attempt("short")}}}, fields{})
		wantStatus(t, a, fields{"retriesStatus": list{attempt(shortenedText(large)), attempt("short")}})
	})
	t.Run("so do arrays", func(t *testing.T) {
		array := list{large, "b"}
		a := ask(t, "TaskRun", fields{"status": fields{"taskSpec": declares, "retriesStatus": list{attempt(array)}}},
			fields{})
		wantStatus(t, a, fields{"retriesStatus": list{attempt(shortenedText(`["` + large + `","b"]`))}})
	})
	t.Run("and copies of the Task", func(t *testing.T) {
		a := ask(t, "TaskRun", consumer(large, large, fields{"retriesStatus": list{fields{"taskSpec": script(large)}}}),
			fields{})
		wantStatus(t, a, fields{"taskSpec": script("$(params.text)")})
		if size := len(marshal(t, a.object)); size > 1_468_416 {
			t.Errorf("%d bytes are left", size)
		}
	})
	t.Run("they stay where there is room", func(t *testing.T) {
		wantUnchanged(t, ask(t, "TaskRun",
			fields{"status": fields{"taskSpec": declares, "retriesStatus": list{attempt(text("a", 60_000))}}},
			fields{}))
	})
}

func TestPodCreation(t *testing.T) {
	large := text("a", 600_000)
	failed := func(message string) fields {
		return consumer(large, large+large+large,
			fields{"conditions": condition("False", "PodCreationFailed", message)})
	}
	for _, reason := range []string{
		"etcdserver: request is too large",
		"rpc error: code = ResourceExhausted desc = trying to send message larger than max (2777038 vs. 2097152)",
		"Request entity too large: limit is 3145728",
	} {
		t.Run(reason, func(t *testing.T) {
			wantExplained(t,
				ask(t, "TaskRun", failed(`failed to create task run pod "run": `+reason+". Maybe invalid TaskSpec"),
					fields{}), reason)
		})
	}
	t.Run("the event is sent once", func(t *testing.T) {
		stored := fields{"status": fields{"conditions": condition("False", "PodCreationFailed",
			"etcdserver: request is too large; "+podNotStored)}}
		if a := ask(t, "TaskRun", failed("etcdserver: request is too large"), stored); len(a.events) > 0 {
			t.Errorf("events: %q", a.events)
		}
	})
	t.Run("a Pod that failed otherwise keeps its message", func(t *testing.T) {
		a := ask(t, "TaskRun", failed("admission webhook denied"), fields{})
		wantStatus(t, a, fields{"conditions": condition("False", "PodCreationFailed", "admission webhook denied")})
	})
}

func wantExplained(t *testing.T, a answer, tekton string) {
	t.Helper()
	message := a.object["status"].(fields)["conditions"].(list)[0].(fields)["message"].(string)
	for _, want := range []string{tekton, `largest: parameter "text", 600000 bytes (585.94 KiB), used 3 times`,
		"etcd takes at most 1572864 bytes (1.5 MiB)", wayOut} {
		if len(a.events) != 1 || !strings.Contains(message, want) {
			t.Errorf("events %q, condition %q; want %q", a.events, message, want)
		}
	}
}
