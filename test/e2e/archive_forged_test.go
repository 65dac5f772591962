//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/stay"
)

// The owner of a namespace may write the statuses of runs that Tekton leaves to others. Whatever
// these contain, such a run is archived, leaves the cluster, and affects no other.
func TestArchiveOfForgedStatuses(t *testing.T) {
	t.Parallel()
	const done = `"conditions":[{"type":"Succeeded","status":"True","reason":"Succeeded","lastTransitionTime":"2026-11-20T10:00:00Z"}],"completionTime":"2026-11-20T10:00:00Z"`
	for name, tt := range map[string]struct{ kind, spec, metadata, status string }{
		"a container whose name is a path": {
			"TaskRun", "{managedBy: nobody.example/x, taskSpec: {steps: [{name: a, image: IMAGE}]}}", "",
			`"podName":"nopod","steps":[{"name":"a","container":"x/../UID.victim-pod.step-a","terminated":{"exitCode":0,"startedAt":"2026-11-20T10:00:00Z","finishedAt":"2026-11-20T10:00:00Z","reason":"Completed"}}],"sidecars":[{"name":"s","container":"x/../../y","running":{"startedAt":"2026-11-20T10:00:00Z"}}]`,
		},
		"a pod whose name is a path": {
			"TaskRun", "{managedBy: nobody.example/x, taskSpec: {steps: [{name: a, image: IMAGE}]}}", "",
			`"podName":"a/b","steps":[{"name":"a","container":"step-a"}]`,
		},
		"a PipelineRun that made itself": {
			"PipelineRun",
			"{managedBy: nobody.example/x, pipelineSpec: {tasks: [{name: a, taskSpec: {steps: [{name: a, " +
				"image: IMAGE}]}}]}}",
			`,"metadata":{"ownerReferences":[{"apiVersion":"foo.example/v1","kind":"Foo","name":"run","uid":"UID"}]}`,
			`"childReferences":[{"apiVersion":"tekton.dev/v1","kind":"PipelineRun","name":"run"}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			a := newArchivist(t, directory(t), archiver.Follow,
				func(o *archiver.Options) { o.Keep = stay.Policies{{Name: "keep"}} })
			p.create(a.mine(fmt.Sprintf("\napiVersion: tekton.dev/v1\nkind: %s\nmetadata: {name: run}\nspec: %s\n",
				tt.kind,
				tt.spec)))
			uid := p.kubectl("get", tt.kind, "run", "-n", p.namespace, "-o", "jsonpath={.metadata.uid}")
			patch := func(body string, subresources ...string) {
				t.Helper()
				body = strings.ReplaceAll(body, "UID", uid)
				runs := cluster.Tekton.TektonV1()
				var err error
				if tt.kind == "TaskRun" {
					_, err = runs.TaskRuns(p.namespace).Patch(p.ctx, "run", types.MergePatchType, []byte(body),
						metav1.PatchOptions{},
						subresources...)
				} else {
					_, err = runs.PipelineRuns(p.namespace).Patch(p.ctx, "run", types.MergePatchType, []byte(body),
						metav1.PatchOptions{}, subresources...)
				}
				p.must(err)
			}
			if tt.metadata != "" {
				patch("{" + tt.metadata[1:] + "}")
			}
			patch(`{"status":{`+tt.status+","+done+"}}", "status")
			a.commit(p, tt.kind, "run")
			p.eventually("the run to leave", func() (bool, error) {
				var err error
				if tt.kind == "TaskRun" {
					_, err = cluster.TaskRun(p.ctx, p.namespace, "run")
				} else {
					_, err = cluster.Tekton.TektonV1().PipelineRuns(p.namespace).Get(p.ctx, "run", metav1.GetOptions{})
				}
				return apierrors.IsNotFound(err), nil
			})
			a.fsck(p, 1)
		})
	}
}
