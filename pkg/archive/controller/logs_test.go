package controller

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// A log is kept as long as its run may be archived here, whatever becomes of the run, and is
// forgotten then: otherwise whoever may annotate a run could fill the spool.
func TestWhoseLogsAreKept(t *testing.T) {
	const log = "team_one-uid_0123456789abcdef0123456789abcdef.log"
	one := func(change func(*observed.Run)) *observed.Run {
		s := deletedRunOf(t, "team", "one")
		change(s)
		return s
	}
	unchanged := func(*observed.Run) {}
	optedOut := func(s *observed.Run) { s.OptedOut = true }
	ofAnother := func(s *observed.Run) { s.Class = "another" }
	marked := func(s *observed.Run) { s.Archived = true }
	running := func(s *observed.Run) { s.Finished = false }
	for name, tt := range map[string]struct {
		does func(*Controller)
		kept bool
	}{
		"the run is finished": {func(c *Controller) { c.changed(one(unchanged), urgent) }, true},
		"the run still runs":  {func(c *Controller) { c.changed(one(running), urgent) }, true},
		"the run is being deleted": {func(c *Controller) {
			c.changed(one(func(s *observed.Run) { s.DeletionTimestamp = &metav1.Time{} }), urgent)
		}, true},
		"the run is opted out": {func(c *Controller) { c.changed(one(optedOut), urgent) }, false},
		"the run is opted out while it runs, and protected": {func(c *Controller) {
			c.changed(one(func(s *observed.Run) { s.OptedOut, s.Protected, s.Finished = true, true, false }), urgent)
		}, false},
		"the run gets another class":                     {func(c *Controller) { c.changed(one(ofAnother), urgent) }, false},
		"the run is marked as archived":                  {func(c *Controller) { c.changed(one(marked), urgent) }, false},
		"the run was deleted, and is to be archived":     {func(c *Controller) { c.runDeleted(one(unchanged)) }, true},
		"the run was deleted, and is archived":           {func(c *Controller) { c.runDeleted(one(marked)) }, false},
		"the run was deleted, and was opted out":         {func(c *Controller) { c.runDeleted(one(optedOut)) }, false},
		"the run was deleted, and is another archiver's": {func(c *Controller) { c.runDeleted(one(ofAnother)) }, false},
		"the run was deleted, and there is no room for it": {func(c *Controller) {
			c.runDeleted(one(func(s *observed.Run) { s.Object = nil }))
		}, false},
		"the run was deleted, and is given up": {func(c *Controller) {
			c.runDeleted(one(unchanged))
			c.giveUpDeleted(c.Deleted.get("one-uid"), errors.New("no"))
		}, false},
		"the run was deleted, and then archived": {func(c *Controller) {
			c.runDeleted(one(unchanged))
			c.tryDeleted(t.Context(), c.Deleted.get("one-uid"))
		}, false},
		"the run is archived": {func(c *Controller) { c.handle(t.Context(), runIn("team", "one-uid"), urgent) }, false},
		"the run is listed":   {func(c *Controller) { listed(c, run.TaskRunKind, one(unchanged)) }, true},
		"the run is not listed, as it was deleted while nobody watched": {func(c *Controller) {
			listed(c, run.TaskRunKind, deletedRunOf(t, "team", "another"))
		}, false},
		"the run is listed, and opted out": {func(c *Controller) { listed(c, run.TaskRunKind, one(optedOut)) }, false},
		"the run is not listed, and still to be archived from its last state": {func(c *Controller) {
			c.runDeleted(one(unchanged))
			listed(c, run.TaskRunKind)
		}, true},
		"PipelineRuns are listed, before TaskRuns": {func(c *Controller) { listed(c, run.PipelineRunKind) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			spool := t.TempDir()
			if err := os.WriteFile(filepath.Join(spool, log), []byte("2026-11-20T10:42:11Z one\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			c := controllerWith(t, func(o *archiver.Options) { o.Logs, o.Spool, o.Streams = archiver.Follow, spool, 4 })
			t.Cleanup(c.Follower.Close)
			tt.does(c)
			_, err := os.Stat(filepath.Join(spool, log))
			if kept := err == nil; kept != tt.kept || err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("kept: %v, %v", kept, err)
			}
		})
	}
}

func listed(c *Controller, kind string, all ...*observed.Run) {
	for _, s := range all {
		s.Kind = kind
	}
	c.initial(context.Background(), kind, all)
}
