package archiver

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// retried returns a TaskRun with so many attempts of so many steps with names of 63 characters, and
// a cluster that has their pods, whose logs are not UTF-8.
func retried(t *testing.T, attempts, steps int) *cluster {
	var containers []string
	var status []any
	for i := range steps {
		name := fmt.Sprintf("step-%s-%03d", strings.Repeat("x", 54), i)
		containers = append(containers, name)
		status = append(status, map[string]any{"name": name[5:], "container": name, "terminated": map[string]any{}})
	}
	attempt := func(n int) map[string]any {
		return map[string]any{"podName": fmt.Sprintf("build-%d", n), "steps": status}
	}
	var before []any
	for n := range attempts - 1 {
		before = append(before, attempt(n))
	}
	last := attempt(attempts - 1)
	last["retriesStatus"] = before
	text, err := json.Marshal(last)
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{t: t, object: finished("TaskRun", "", "", ","+string(text[1:len(text)-1])),
		pod: func(string) []string { return containers }, log: "\xff not UTF-8"}
}

// logsIn returns a commit's logs by attempt, and what it says of those that are left out.
func logsIn(c *manifest.Commit) (byAttempt map[int]int, leftOut []string) {
	byAttempt = map[int]int{}
	for i := range c.Parts {
		switch p := &c.Parts[i]; {
		case p.Type == manifest.Log && p.Container == "":
			leftOut = append(leftOut, string(p.State)+": "+p.Reason)
		case p.Type == manifest.Log:
			byAttempt[p.Attempt]++
		}
	}
	return byAttempt, leftOut
}

func TestRunsWithMoreLogsThanACommitHolds(t *testing.T) {
	const attempts, steps = 118, 20
	a := retried(t, attempts, steps).archiver(Collect, nil)
	c := archived(t, a, "TaskRun")
	logs, leftOut := logsIn(c)
	first := attempts
	for attempt := range logs {
		first = min(first, attempt)
	}
	if first == 0 || first > attempts-40 {
		t.Errorf("logs from attempt %d on", first)
	}
	for attempt := first + 1; attempt < attempts; attempt++ {
		if logs[attempt] != steps {
			t.Errorf("%d logs of attempt %d", logs[attempt], attempt)
		}
	}
	want := fmt.Sprintf("missing: the commit has no room for %d logs of attempts 1 to %d",
		attempts*steps-len(c.Parts)+2, first+1)
	if logs[first] == steps {
		want = strings.TrimSuffix(want, fmt.Sprint(first+1)) + fmt.Sprint(first)
	}
	if !slices.Equal(leftOut, []string{want}) {
		t.Errorf("says %q, want %q", leftOut, want)
	}
	if left := unnamed(t, a, c); len(left) > 0 {
		t.Errorf("%d objects are in the store and not in the commit", len(left))
	}
	if _, err := manifest.EncodeBare(c); err != nil {
		t.Errorf("no index and no segment can have it: %v", err)
	}
}

func TestRunsWithUsualLogsKeepAll(t *testing.T) {
	for name, tt := range map[string]struct{ attempts, steps int }{
		"one attempt":      {1, 3},
		"many steps":       {1, 200},
		"ten attempts":     {10, 4},
		"hundreds of logs": {30, 20},
	} {
		t.Run(name, func(t *testing.T) {
			logs, leftOut := logsIn(archived(t, retried(t, tt.attempts, tt.steps).archiver(Collect, nil), "TaskRun"))
			for attempt := range tt.attempts {
				if logs[attempt] != tt.steps {
					t.Errorf("%d logs of attempt %d", logs[attempt], attempt)
				}
			}
			if len(leftOut) > 0 {
				t.Errorf("says %q", leftOut)
			}
		})
	}
}

// A small text takes less of a commit than the key of an object, but more of a bare commit, which
// has its digest.
func TestRunsWithManySmallLogsHaveABareCommit(t *testing.T) {
	cluster := retried(t, 200, 40)
	cluster.log = "x"
	c := archived(t, cluster.archiver(Collect, nil), "TaskRun")
	if _, err := manifest.EncodeBare(c); err != nil {
		t.Error(err)
	}
}

func TestPartsOfACommitThatCannotBeMadeAreDiscarded(t *testing.T) {
	a := retried(t, 1, 2).archiver(Collect, nil)
	a.Now = func() time.Time { return time.Time{} } // a commit needs a time
	_, err := a.Archive(t.Context(), run.Reference{Kind: "TaskRun", Namespace: "team", Name: "build"}, true)
	if err == nil {
		t.Fatal("archived at no time")
	}
	if left := unnamed(t, a, &manifest.Commit{}); len(left) > 0 {
		t.Errorf("%d objects stay after %v", len(left), err)
	}
}

func TestFieldsOfAnyLengthDoNotKeepARunFromTheArchive(t *testing.T) {
	long := strings.Repeat("é", 600<<10)
	c := archived(t, (&cluster{t: t, object: []byte(strings.Replace(string(finished("CustomRun", "", "", "")),
		`"status":"True"`, `"status":"True","reason":"`+long+`"`, 1))}).archiver(None, nil), "CustomRun")
	if got := c.Run.Reason; got == "" || len(got) > 2000 || !strings.HasPrefix(long, strings.TrimSuffix(got, "…")) {
		t.Errorf("a reason of %d bytes", len(got))
	}
}
