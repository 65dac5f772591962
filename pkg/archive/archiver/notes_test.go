package archiver

import (
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// Whatever ends the attempts for a run, nothing is remembered of it afterwards.
func TestNothingIsRememberedOfARunWithoutAttempts(t *testing.T) {
	finished := runOf("TaskRun", "build", "build", "", "finished")
	for name, tt := range map[string]struct {
		object string
		want   Outcome
	}{
		"it is gone":                         {"", Gone},
		"it is archived now":                 {finished, Archived},
		"it was archived by another process": {runOf("TaskRun", "build", "build", "", "archived"), Archived},
		"it is opted out":                    {withMetadata(`"annotations":{"indelible.dev/archive":"disabled"}`), Ignored},
		"it belongs to another archiver":     {withMetadata(`"labels":{"indelible.dev/archiver":"other"}`), Ignored},
		"another run has its name meanwhile": {runOf("TaskRun", "build", "again", "", "archived"), Archived},
	} {
		t.Run(name, func(t *testing.T) {
			server := &api{t: t, objects: map[string]string{}}
			if tt.object != "" {
				server.objects["taskruns/build"] = tt.object
			}
			a := server.archiver([]string{})
			r, err := run.Parse([]byte(finished))
			if err != nil {
				t.Fatal(err)
			}
			a.notes.waits(r, waitLogs, time.Now())
			a.notes.noteInArchive(r, "child")
			a.notes.write(r.Reference(), r.UID, func(n *note) { n.indexed, n.committed = true, true })
			a.refusals.note(r.Reference(), r.UID)
			result, err := a.Archive(t.Context(), r.Reference(), true)
			if err != nil || result.Outcome != tt.want {
				t.Fatalf("%+v, %v; want %s", result, err, tt.want)
			}
			if len(a.notes.runs)+len(a.refusals.runs) > 0 {
				t.Errorf("left: %v, %v", a.notes.runs, a.refusals.runs)
			}
		})
	}
}

// withMetadata returns a finished run without a finalizer, with more metadata.
func withMetadata(more string) string {
	return `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"build","namespace":"team","uid":"` +
		uidOf("build") + `","creationTimestamp":"2026-11-20T10:42:11Z",` + more + `},"status":{"conditions":[
		{"type":"Succeeded","status":"True"}]}}`
}

func TestNotesAreOfOneRunOfAName(t *testing.T) {
	var n notes
	old, err := run.Parse([]byte(runOf("TaskRun", "build", "old", "", "finished")))
	if err != nil {
		t.Fatal(err)
	}
	again, err := run.Parse([]byte(runOf("TaskRun", "build", "again", "", "finished")))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	n.write(old.Reference(), old.UID, func(of *note) { of.committed, of.indexed = true, true })
	n.waits(old, WaitChildren, now)
	if n.isCommitted(again.Reference(), again.UID) || n.isIndexed(again.Reference(), again.UID) {
		t.Error("a run that was created again counts as the one before")
	}
	if got := n.waits(again, WaitChildren, now.Add(time.Hour)); got != 0 {
		t.Errorf("it has waited for %s already", got)
	}
	n.forget(again.Reference(), again.UID)
	got := n.waited(old, WaitChildren, now.Add(2*time.Hour))
	if got != 2*time.Hour || !n.isCommitted(old.Reference(), old.UID) {
		t.Errorf("the other has waited for %s", got)
	}
}
