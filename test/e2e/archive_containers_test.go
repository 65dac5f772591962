//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

// The archive has the logs of containers beside and before the steps, and the events of a pod that
// never ran, whether logs are followed or collected.
func TestArchiveOfContainersBesideTheSteps(t *testing.T) {
	t.Parallel()
	const (
		untilStopped = `trap 'echo down; exit 0' TERM; echo up; while :; do sleep 0.1; done`
		done         = `step-a 0 complete: done`
	)
	for _, tt := range []struct {
		name string
		mode []archiver.LogMode
		spec string
		act  func(p *place, pod string)
		// logs are patterns.
		logs   []string
		events string
	}{
		{
			name: "a sidecar that Tekton stops", mode: []archiver.LogMode{archiver.Follow, archiver.Collect},
			spec: `{taskSpec: {steps: [{name: a, image: IMAGE, script: "echo done"}], sidecars: [{name: s, image: IMAGE, script: "` + untilStopped + `"}]}}`,
			logs: []string{done, "sidecar-s 0 complete: up down"},
		},
		{
			name: "a sidecar that ends before the steps do",
			mode: []archiver.LogMode{archiver.Follow, archiver.Collect},
			spec: `{taskSpec: {steps: [{name: a, image: IMAGE, script: "sleep 4; echo done"}], sidecars: [{name: s, image: IMAGE, script: "echo brief"}]}}`,
			logs: []string{done, "sidecar-s 0 complete: brief"},
		},
		{
			name: "the last words of a sidecar in a TaskRun that is cancelled",
			mode: []archiver.LogMode{archiver.Follow},
			spec: `{taskSpec: {steps: [{name: a, image: IMAGE, script: "echo started; exec sleep 600"}], sidecars: [{name: s, image: IMAGE, script: "` + untilStopped + `"}]}}`,
			act:  cancelled,
			logs: []string{"step-a 0 complete: started", "sidecar-s 0 complete: up down"},
		},
		{
			name: "a step that waited for its turn longer than the kubelet needs to rotate a log",
			mode: []archiver.LogMode{archiver.Follow, archiver.Collect},
			spec: `{taskSpec: {steps: [{name: a, image: IMAGE, script: "echo done; sleep 14"}, {name: b, image: IMAGE, script: "echo then"}]}}`,
			logs: []string{done, "step-b 0 complete: then"},
		},
		{
			name: "an init container that failed", mode: []archiver.LogMode{archiver.Follow, archiver.Collect},
			spec: `{taskSpec: {steps: [{name: a, image: IMAGE, workingDir: /workspace/` + strings.Repeat("long", 100) +
				`, script: "echo done"}]}}`,
			logs: []string{"working-dir-initializer 0 complete: .*file name too long",
				"step-a 0 missing: the container did not start"},
		},
		{
			name:   "the events of a pod that never started",
			mode:   []archiver.LogMode{archiver.Follow, archiver.Collect, archiver.None},
			spec:   `{timeout: 10s, taskSpec: {steps: [{name: a, image: IMAGE, computeResources: {requests: {cpu: "1000"}}, script: "echo done"}]}}`,
			events: "FailedScheduling",
		},
	} {
		for _, mode := range tt.mode {
			t.Run(fmt.Sprintf("%s, %s", tt.name, mode), func(t *testing.T) {
				t.Parallel()
				p := newPlace(t)
				a := newArchivist(t, directory(t), mode)
				p.create(a.mine("\napiVersion: tekton.dev/v1\nkind: TaskRun\nmetadata: {name: run}\nspec: " +
					tt.spec + "\n"))
				if tt.act != nil {
					pod := p.running("run", "step-a")
					waitForLog(p, pod, "step-a", "started")
					waitForLog(p, pod, "sidecar-s", "up")
					tt.act(p, pod)
				}
				c := a.commit(p, "TaskRun", "run")
				p.archived("run")
				if logs := strings.Join(a.logsOf(p, c), "\n"); tt.logs != nil &&
					!regexp.MustCompile("^"+strings.Join(tt.logs, "\n")+"$").MatchString(logs) {
					t.Errorf("logs:\n%s\nwant\n%s", logs, strings.Join(tt.logs, "\n"))
				}
				if reasons := a.eventsOf(p, c); tt.events != "" && !slices.Contains(reasons, tt.events) {
					t.Errorf("events %q, want one that is %s", reasons, tt.events)
				}
				a.fsck(p, 1)
			})
		}
	}
}

// eventsOf returns the reasons of the events in a commit.
func (a *testArchive) eventsOf(p *place, c *manifest.Commit) (reasons []string) {
	p.t.Helper()
	for _, part := range c.Parts {
		if part.Type != manifest.Events {
			continue
		}
		var events corev1.EventList
		if err := json.Unmarshal([]byte(a.content(p, part)), &events); err != nil {
			p.t.Fatal(err)
		}
		for i := range events.Items {
			reasons = append(reasons, events.Items[i].Reason)
		}
	}
	return reasons
}
