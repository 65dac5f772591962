package archiver

import (
	"net/http"
	"testing"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// The garbage collector deletes a run with its owner, whoever created it: the topmost leaves only
// when all below it are archived and released.
func TestARunIsPrunedWhenAllBelowItAreArchived(t *testing.T) {
	const root = "PipelineRun root"
	archivedCustom := runOf("CustomRun", "custom", "custom", root, "archived")
	for name, tt := range map[string]struct {
		watched []string
		// committed are runs that the archive has, besides the root.
		committed []string
		want      Outcome
	}{
		"nothing is below it":                      {[]string{}, nil, Pruned},
		"the watches have not begun":               {nil, nil, Archived},
		"the TaskRun that it made is archived":     {[]string{runOf("TaskRun", "t", "t", root, "archived")}, nil, Pruned},
		"the TaskRun that it made works":           {[]string{runOf("TaskRun", "t", "t", root, "works")}, nil, Archived},
		"the TaskRun that it made has finished":    {[]string{runOf("TaskRun", "t", "t", root, "finished")}, nil, Archived},
		"a run of another PipelineRun works":       {[]string{runOf("TaskRun", "t", "t", "PipelineRun other", "works")}, nil, Pruned},
		"a PipelineRun that a CustomRun made":      {[]string{archivedCustom, runOf("PipelineRun", "in", "in", "CustomRun custom", "works")}, nil, Archived},
		"the same, archived":                       {[]string{archivedCustom, runOf("PipelineRun", "in", "in", "CustomRun custom", "archived")}, nil, Pruned},
		"a TaskRun of the same":                    {[]string{archivedCustom, runOf("PipelineRun", "in", "in", "CustomRun custom", "archived"), runOf("TaskRun", "t", "t", "PipelineRun in", "finished")}, nil, Archived},
		"a PipelineRun that a TaskRun made":        {[]string{runOf("TaskRun", "t", "t", root, "archived"), runOf("PipelineRun", "in", "in", "TaskRun t", "works")}, nil, Archived},
		"a run without a mark, not in the archive": {[]string{runOf("TaskRun", "t", "t", root, "unmarked")}, nil, Archived},
		"a run without a mark, in the archive": {[]string{runOf("TaskRun", "t", "t", root, "unmarked")},
			[]string{runOf("TaskRun", "t", "t", root, "unmarked")}, Pruned},
		"a protected run in the archive": {[]string{runOf("TaskRun", "t", "t", root, "finished")},
			[]string{runOf("TaskRun", "t", "t", root, "finished")}, Archived},
	} {
		t.Run(name, func(t *testing.T) {
			object := runOf("PipelineRun", "root", "root", "", "archived")
			server := &api{t: t, objects: map[string]string{"pipelineruns/root": object}}
			a := server.archiver(tt.watched)
			for _, committed := range append(tt.committed, object) {
				putCommit(t, a, committed)
			}
			ref := run.Reference{Kind: "PipelineRun", Namespace: "team", Name: "root"}
			result, err := a.Archive(t.Context(), ref, true)
			if err != nil || result.Outcome != tt.want {
				t.Fatalf("%+v, %v; want %s", result, err, tt.want)
			}
			deleted := server.asked(http.MethodDelete)
			if pruned := tt.want == Pruned; deleted == 1 != pruned || pruned == (result.Again > 0) {
				t.Errorf("%d deletions, again after %s", deleted, result.Again)
			}
			if asked := server.asked(http.MethodGet); asked != 1 {
				t.Errorf("%d requests to read a run", asked)
			}
		})
	}
}

// More runs without a mark than an attempt reads commits of keep their owner for some attempts.
func TestARunIsPrunedAfterManyWithoutAMark(t *testing.T) {
	object := runOf("PipelineRun", "root", "root", "", "archived")
	var below []string
	for i := range 2*childReads + 1 {
		name := string(rune('a'+i/26)) + string(rune('a'+i%26))
		below = append(below, runOf("TaskRun", name, name, "PipelineRun root", "unmarked"))
	}
	a := (&api{t: t, objects: map[string]string{"pipelineruns/root": object}}).archiver(below)
	for _, committed := range append(below, object) {
		putCommit(t, a, committed)
	}
	ref := run.Reference{Kind: "PipelineRun", Namespace: "team", Name: "root"}
	for _, want := range []Outcome{Archived, Archived, Pruned} {
		if result, err := a.Archive(t.Context(), ref, true); err != nil || result.Outcome != want {
			t.Fatalf("%+v, %v; want %s", result, err, want)
		}
	}
}
