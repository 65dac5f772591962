package archiver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// parentOf returns a finished PipelineRun whose status names TaskRuns.
func parentOf(t *testing.T, names ...string) *run.Run {
	t.Helper()
	r, err := run.Parse([]byte(runOf("PipelineRun", "parent", "parent", "", "finished")))
	if err != nil {
		t.Fatal(err)
	}
	children := []map[string]string{}
	for _, name := range names {
		children = append(children, map[string]string{"kind": "TaskRun", "name": name})
	}
	text, err := json.Marshal(map[string]any{"childReferences": children})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r.Status); err != nil {
		t.Fatal(err)
	}
	return r
}

const parent = "PipelineRun parent"

func TestAwaitChildren(t *testing.T) {
	finished := runOf("TaskRun", "one", "one", parent, "finished")
	for name, tt := range map[string]struct {
		// watched is what the watches have shown, exists what the API server has: both may be empty.
		watched, exists string
		// committed is a run of which this process has written the commit, and archived one of which
		// another has.
		committed, archived string
		waits               bool
		asked               int
	}{
		"a child that is archived":                   {watched: runOf("TaskRun", "one", "one", parent, "archived")},
		"a child that works":                         {watched: runOf("TaskRun", "one", "one", parent, "works"), waits: true},
		"a child that has finished":                  {watched: finished, waits: true},
		"a child that this process has committed":    {watched: finished, committed: finished},
		"a child that another process has committed": {watched: finished, archived: finished},
		"a child that was created again under the name of a committed one": {
			watched: runOf("TaskRun", "one", "again", parent, "finished"), committed: finished, waits: true,
		},
		"a child that does not exist":                             {asked: 1},
		"a child that the watch has not shown yet":                {exists: finished, waits: true, asked: 1},
		"the same, of a name that this process has committed":     {exists: runOf("TaskRun", "one", "again", parent, "finished"), committed: finished, waits: true, asked: 1},
		"the same, committed by this process":                     {exists: finished, committed: finished, asked: 1},
		"the same, committed by another process":                  {exists: finished, archived: finished, asked: 1},
		"a run of that name that this PipelineRun did not create": {exists: runOf("TaskRun", "one", "one", "PipelineRun other", "works"), asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			server := &api{t: t, objects: map[string]string{}}
			if tt.exists != "" {
				server.objects["taskruns/one"] = tt.exists
			}
			watched := []string{}
			if tt.watched != "" {
				watched = append(watched, tt.watched)
			}
			a := server.archiver(watched)
			if tt.committed != "" {
				child, err := run.Parse([]byte(tt.committed))
				if err != nil {
					t.Fatal(err)
				}
				a.noteCommitted(child)
			}
			if tt.archived != "" {
				putCommit(t, a, tt.archived)
			}
			err := a.awaitChildren(t.Context(), parentOf(t, "one"))
			var w *wait
			asked := server.asked(http.MethodGet)
			if errors.As(err, &w) != tt.waits || err != nil && !tt.waits || asked != tt.asked {
				t.Errorf("got %v after %d requests, want that it waits: %v, after %d", err, asked, tt.waits, tt.asked)
			}
		})
	}
}

// A status may name any number of children. What they cost is bounded, in an attempt and in all.
func TestChildrenThatAStatusMakesUp(t *testing.T) {
	var names []string
	for i := range 30_000 {
		names = append(names, fmt.Sprint("made-up-", i))
	}
	t.Run("while a real one works", func(t *testing.T) {
		server := &api{t: t, objects: map[string]string{}}
		a := server.archiver([]string{runOf("TaskRun", "one", "one", parent, "works")})
		var w *wait
		err := a.awaitChildren(t.Context(), parentOf(t, append([]string{"one"}, names...)...))
		if asked := server.asked(http.MethodGet); !errors.As(err, &w) || asked > 0 {
			t.Errorf("%v after %d requests", err, asked)
		}
	})
	t.Run("and no real one", func(t *testing.T) {
		server := &api{t: t, objects: map[string]string{}}
		a, all := server.archiver([]string{}), 0
		r := parentOf(t, names...)
		for attempts := 1; ; attempts++ {
			err := a.awaitChildren(t.Context(), r)
			asked := server.asked(http.MethodGet)
			all += asked
			var w *wait
			if asked > 100 || all > 5000 || err != nil && !errors.As(err, &w) {
				t.Fatalf("%d requests in attempt %d, %d in all, %v", asked, attempts, all, err)
			}
			if err == nil {
				break
			}
		}
	})
	t.Run("as paths", func(t *testing.T) {
		server := &api{t: t, objects: map[string]string{}}
		a := server.archiver([]string{})
		err := a.awaitChildren(t.Context(), parentOf(t, "", "..", "../../../taskruns", "a/b", "A"))
		if asked := server.asked(http.MethodGet); err != nil || asked > 0 {
			t.Errorf("%v after %d requests", err, asked)
		}
	})
}

// More committed children than an attempt reads commits of, as after a restart, take some attempts.
func TestManyCommittedChildren(t *testing.T) {
	var names, watched []string
	for i := range 2*childReads + 1 {
		name := string(rune('a'+i/26)) + string(rune('a'+i%26))
		names, watched = append(names, name), append(watched, runOf("TaskRun", name, name, parent, "finished"))
	}
	a := (&api{t: t, objects: map[string]string{}}).archiver(watched)
	for _, object := range watched {
		putCommit(t, a, object)
	}
	r := parentOf(t, names...)
	for _, waits := range []bool{true, true, false} {
		if err := a.awaitChildren(t.Context(), r); (err != nil) != waits {
			t.Fatalf("got %v, want that it waits: %v", err, waits)
		}
	}
}

// Whatever is wrong with a child, its PipelineRun waits for ChildPatience and no longer.
func TestPatienceWithChildren(t *testing.T) {
	finished := runOf("TaskRun", "one", "one", parent, "finished")
	for name, tt := range map[string]struct {
		watched []string
		exists  string
		// damaged is what the archive has in the place of the child's commit.
		damaged string
		waits   bool
		want    error
	}{
		"a child that is never archived":          {watched: []string{finished}, waits: true},
		"a child whose commit is damaged":         {watched: []string{finished}, damaged: "{}", want: manifest.ErrDamaged},
		"a child that is no object":               {watched: []string{}, exists: `{"kind":"TaskRun"}`},
		"a child that the watch has not, damaged": {watched: []string{}, exists: finished, damaged: "{}", want: manifest.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			server := &api{t: t, objects: map[string]string{}}
			if tt.exists != "" {
				server.objects["taskruns/one"] = tt.exists
			}
			a := server.archiver(tt.watched, func(o *Options) { o.Now = func() time.Time { return now } })
			if tt.damaged != "" {
				putDamaged(t, a, finished, tt.damaged)
			}
			r := parentOf(t, "one")
			for range 2 {
				err := a.awaitChildren(t.Context(), r)
				var w *wait
				if err == nil || errors.As(err, &w) != tt.waits || !errors.Is(err, tt.want) && tt.want != nil {
					t.Fatalf("got %v, want %v", err, tt.want)
				}
				now = now.Add(50 * time.Minute)
			}
			if err := a.awaitChildren(t.Context(), r); err != nil {
				t.Errorf("after more than an hour: %v", err)
			}
		})
	}
}

// putDamaged puts something else in the place of a run's commit.
func putDamaged(t *testing.T, a *Archiver, object, content string) {
	t.Helper()
	r, err := run.Parse([]byte(object))
	if err != nil {
		t.Fatal(err)
	}
	key, err := a.Cluster.Commit(r.ID())
	if err == nil {
		err = a.Store.Create(t.Context(), key, strings.NewReader(content))
	}
	if err != nil {
		t.Fatal(err)
	}
}
