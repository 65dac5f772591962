//go:build e2e

package e2e

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/indelible-ci/indelible/pkg/result"
)

// entry is one row of the catalogue: objects that are created in a namespace with Indelible and in
// one without.
type entry struct {
	// name is a sentence, and the entry's name in docs/differences.md.
	name string
	// yaml are the objects. All TaskRuns and PipelineRuns among them are observed; what they make
	// is found from there.
	yaml string
	// before, if any, prepares the cluster.
	before func(*testing.T)
	// act, if any, acts on the runs from outside, in one namespace after the other.
	act func(*place)
	// left says that Indelible leaves the entry's pods alone. All others must have the publisher.
	left bool
	// unordered says that its steps write to stdout and stderr, or what has no order.
	unordered bool
	// passes says that the entry must succeed in plain Tekton, or it does not test what it was
	// written for.
	passes bool
}

// TestCatalogue runs Tasks and Pipelines twice, plain and injected. Plain Tekton is the oracle:
// what it says of a run, and what the run's steps print, must be the same. docs/differences.md
// lists what is not, with its reason; a difference that is not listed fails, and so does one that
// is listed and no longer seen. The short form has some of the entries only.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	onlyThisTekton(t)
	listed, all := readDifferences(t), catalogue(t)
	var seen sync.Map
	whole := t.Run("entries", func(t *testing.T) {
		for _, e := range all {
			t.Run(e.name, func(t *testing.T) {
				t.Parallel()
				for _, d := range e.compare(t) {
					if row := listed.find(d); row != nil {
						seen.Store(row, true)
						continue
					}
					t.Error(d)
				}
				seen.Store(e.name, true)
			})
		}
	})
	if !whole || !wholeCatalogue {
		return // what an entry that failed, or was not run, would have shown is not known
	}
	for i := range listed {
		row := &listed[i]
		if _, ok := seen.Load(row); !ok && !row.sometimes() && wasRun(&seen, row, all) {
			t.Errorf("%s lists a difference that is no longer there: %s, %s", differencesFile, row.entry, row.field)
		}
	}
}

// wasRun says whether the entries that a row is about were run. With RUN=… most are not; a row
// about any entry then says nothing.
func wasRun(seen *sync.Map, row *difference, all []entry) bool {
	return !slices.ContainsFunc(all, func(e entry) bool {
		_, ran := seen.Load(e.name)
		return row.about(e.name) && !ran
	})
}

// catalogue is all entries, or, but for the wholeCatalogue form, those about results: all together
// take a quarter of an hour.
func catalogue(t *testing.T) []entry {
	parts := [][]entry{resultEntries}
	if wholeCatalogue {
		parts = append(parts, stepEntries, userEntries, environmentEntries, endingEntries, sidecarEntries,
			pipelineEntries,
			staticEntries, exampleEntries(t))
	}
	return slices.Concat(parts...)
}

// compare runs an entry in both namespaces and returns how they differ.
func (e entry) compare(t *testing.T) []difference {
	if e.before != nil {
		e.before(t)
	}
	plain, injected := newPlaceWith(t, nil), newPlaceWith(t, map[string]string{result.EnabledKey: result.Enabled})
	for _, p := range []*place{plain, injected} {
		p.give(3 * bound) // some wait for a time to be over, and all of them share the node
		p.create(e.yaml)
	}
	if e.act != nil {
		e.act(plain)
		e.act(injected)
	}
	want, got := map[string]string{}, map[string]string{}
	for _, run := range runsOf(t, e.yaml) {
		maps.Copy(want, (&observer{place: plain, unordered: e.unordered}).run(run))
		maps.Copy(got, (&observer{place: injected, injected: !e.left, unordered: e.unordered}).run(run))
	}
	for _, run := range runsOf(t, e.yaml) {
		if at := run.name + "/condition"; e.passes && !strings.HasPrefix(want[at], "True ") {
			t.Errorf("plain Tekton does not succeed with it: %s", want[at])
		}
	}
	// What there is to say from here on are differences.
	plain.quiet, injected.quiet = true, true
	return differencesBetween(e.name, want, got)
}

// entryRun is a TaskRun or PipelineRun of an entry.
type entryRun struct{ kind, name string }

// runsOf reads which runs a YAML text creates.
func runsOf(t *testing.T, text string) []entryRun {
	t.Helper()
	var runs []entryRun
	for _, doc := range strings.Split("\n"+text, "\n---") {
		var object struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := yaml.Unmarshal([]byte(doc), &object); err != nil {
			t.Fatal(err)
		}
		if object.Kind == "TaskRun" || object.Kind == "PipelineRun" {
			runs = append(runs, entryRun{object.Kind, object.Metadata.Name})
		}
	}
	if len(runs) == 0 {
		t.Fatal("the entry has no run")
	}
	return runs
}

// oneTask is a TaskRun named run with the given Task.
func oneTask(taskSpec string) string { return oneTaskWith("", taskSpec) }

// oneTaskWith is a TaskRun named run with the given Task and further fields of its spec.
func oneTaskWith(spec, taskSpec string) string {
	return "apiVersion: tekton.dev/v1\nkind: TaskRun\nmetadata: {name: run}\nspec:\n" +
		indent(spec, "  ") + "\n  taskSpec:\n" + indent(taskSpec, "    ") + "\n"
}

// onePipeline is a PipelineRun named run with the given Pipeline.
func onePipeline(pipelineSpec string) string { return onePipelineWith("", pipelineSpec) }

// onePipelineWith is a PipelineRun named run with the given Pipeline and further fields of its
// spec.
func onePipelineWith(spec, pipelineSpec string) string {
	return "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: run}\nspec:\n" +
		indent(spec, "  ") + "\n  pipelineSpec:\n" + indent(pipelineSpec, "    ") + "\n"
}
