package catalogue_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
)

// tools stores what the document says tools write: a Result that was deleted and created again, a
// Record that was changed, one that was deleted, and a large Log.
func tools(t *testing.T, a *indextest.Archive) object.Object {
	t.Helper()
	o := object.New(a, indextest.Cluster, time.Now)
	must := func(o object.Object, err error) object.Object {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	result := object.Object{Kind: object.Result, Parent: "team-a", Result: "build-7",
		Data: json.RawMessage(`{"annotations":{"a":"b"}}`)}
	record := object.Object{Kind: object.Record, Parent: "team-a", Result: "build-7", ID: "r1",
		Type: "example.dev/v1.Report", Data: json.RawMessage(`[1]`)}
	must(o.Create(t.Context(), result))
	must(o.Create(t.Context(), record))
	if err := o.Delete(t.Context(), result.Name(), 0); err != nil {
		t.Fatal(err)
	}
	must(o.Create(t.Context(), result))
	changed := must(o.Create(t.Context(), record))
	changed.Data = json.RawMessage(`[2]`)
	must(o.Update(t.Context(), changed))
	record.ID = "r2"
	must(o.Create(t.Context(), record))
	if err := o.Delete(t.Context(), record.Name(), 0); err != nil {
		t.Fatal(err)
	}
	log := object.Name{Kind: object.Log, Parent: "team-a", Result: "build-7", ID: "l1"}
	return must(o.PutLog(t.Context(), log, strings.NewReader(strings.Repeat("a line of a large log\n", 5000))))
}

func part(t *testing.T, log object.Object) string {
	t.Helper()
	content, err := object.ContentOf(&log)
	if err != nil {
		t.Fatal(err)
	}
	return content.Part
}

// Tests what docs/archive-format.md says can be done with just gunzip, zstd and jq.
func TestFormatDocument(t *testing.T) {
	for _, program := range []string{"bash", "gunzip", "zstd", "jq", "sha256sum"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("the document's commands need %s", program)
		}
	}
	a := indextest.NewArchive(t)
	var rows []index.Row
	for n := range 3 {
		row, _ := a.Add(t, n, func(row *index.Row) {
			run := &row.Commit.Run
			run.Name = fmt.Sprint("run-", n)
			row.Record = []byte(
				fmt.Sprintf(
					`{"metadata":{"name":"run-%d"},"status":{"results":[{"name":"digest","value":"value-%d"}]}}`, n, n))
			if n == 1 {
				run.Status, run.Reason = "False", "TaskRunTimeout"
				small := manifest.Part{Type: manifest.Log, State: manifest.Complete, Container: "step-test"}
				small.SetText([]byte("ok\n"), 100)
				row.Commit.Parts = append(row.Commit.Parts, small,
					manifest.Part{Type: manifest.Log, State: manifest.Missing, Reason: "the pod is gone",
						Container: "step-upload"})
			}
		})
		rows = append(rows, row)
	}
	compact(t, a, late)
	large := tools(t, a)
	one := rows[1].Commit
	line := func(n int, reason string) string {
		run := rows[n].Commit.Run
		return fmt.Sprintf("%s\tTaskRun\tteam-%d/run-%d\t%s\t%s\n", run.Created.Format("2006-01-02T15:04:05Z"), n, n,
			reason, run.UID)
	}
	listed := []string{line(0, "Succeeded"), line(1, "TaskRunTimeout"), line(2, "Succeeded")}
	if rows[0].Commit.Run.UID > one.Run.UID { // both have the same second
		listed[0], listed[1] = listed[1], listed[0]
	}
	log := one.Parts[1].Key
	want := strings.Join(listed, "") +
		"digest=value-1\n" +
		"record\t\tcomplete\t\t\n" + "log\tstep-compile\tcomplete\t\t" + log + "\n" + "events\t\tcomplete\t\t\n" +
		"log\tstep-test\tcomplete\t\t\n" + "log\tstep-upload\tmissing\tthe pod is gone\t\n" +
		"--- step-compile\n" + strings.Repeat("a line of "+log+"\n", 20) +
		"--- step-test\nok\n--- step-upload\nmissing: the pod is gone\n" +
		log + ": OK\n" +
		"whole: " + segments(t, a)[0] + "\nrun-1\n" +
		"Result\t\t1000000001\t\t{\"annotations\":{\"a\":\"b\"}}\n" +
		"Log\tl1\t1000000001\t\t" + string(large.Data) + "\n" +
		"Record\tr1\t1000000002\texample.dev/v1.Report\t[2]\n" +
		part(t, large) + ": OK\n" + "a line of a large log\n"
	document, err := os.ReadFile("../../../docs/archive-format.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(document, -1)
	if len(commands) != 7 {
		t.Fatalf("%d blocks of commands, want 7", len(commands))
	}
	script := "set -euo pipefail\nuid=" + one.Run.UID + " result=team-a/results/build-7\n"
	for _, block := range commands {
		script += string(block[1])
	}
	bash := exec.Command("bash", "-c", script)
	bash.Dir = a.Root
	var failed bytes.Buffer
	bash.Stderr = &failed
	got, err := bash.Output()
	if err != nil {
		t.Errorf("%v: %s", err, failed.String())
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}
