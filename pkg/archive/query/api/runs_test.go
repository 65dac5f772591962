package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// made is a run to archive.
type made struct {
	kind, namespace, name, uid string
	// created is in seconds after ten o'clock.
	created int
	labels  map[string]string
	// owner is the UID of the PipelineRun that created it.
	owner          string
	status, reason string
	// logs are the texts of its steps.
	logs map[string]string
	// annotations, and further fields of the status.
	annotations map[string]string
	more        map[string]any
}

var ten = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

func (m *made) resultID() string {
	if m.owner != "" {
		return m.owner
	}
	return m.uid
}

func (m *made) record() string {
	return m.namespace + "/results/" + m.resultID() + "/records/" + m.uid
}

func (m *made) log() string { return m.namespace + "/results/" + m.resultID() + "/logs/" + m.uid }

func (m *made) json() []byte {
	at := ten.Add(time.Duration(m.created) * time.Second)
	meta := map[string]any{"name": m.name, "namespace": m.namespace, "uid": m.uid,
		"creationTimestamp": at.Format(time.RFC3339)}
	if m.labels != nil {
		meta["labels"] = m.labels
	}
	if m.annotations != nil {
		meta["annotations"] = m.annotations
	}
	if m.owner != "" {
		meta["ownerReferences"] = []any{map[string]any{"apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
			"name": "p", "uid": m.owner, "controller": true}}
	}
	state := map[string]any{
		"startTime":      at.Add(time.Second).Format(time.RFC3339),
		"completionTime": at.Add(61 * time.Second).Format(time.RFC3339),
		"conditions":     []any{map[string]any{"type": "Succeeded", "status": m.status, "reason": m.reason}},
	}
	for key, value := range m.more {
		state[key] = value
	}
	text, err := json.Marshal(map[string]any{"apiVersion": "tekton.dev/v1", "kind": m.kind, "metadata": meta,
		"spec": map[string]any{}, "status": state})
	if err != nil {
		panic(err)
	}
	return text
}

// add archives a run as the archiver does.
func (r *rig) add(m made) *manifest.Commit {
	r.Helper()
	parsed, err := run.Parse(m.json())
	r.must(err)
	c := &manifest.Commit{
		Cluster: string(clusterName), Versions: manifest.Versions{Archiver: "test"}, CommittedAt: ten.Add(time.Hour),
		Run: manifest.Run{
			APIVersion: "tekton.dev/v1", Kind: m.kind, Namespace: m.namespace, Name: m.name, UID: m.uid,
			Created:   parsed.CreationTimestamp.UTC(),
			Completed: parsed.Completed(), Status: m.status, Reason: m.reason, Result: run.ResultOf(&parsed.ObjectMeta),
			ResultAnnotations:  run.CustomMetadata(&parsed.ObjectMeta, run.ResultAnnotations),
			SummaryAnnotations: run.CustomMetadata(&parsed.ObjectMeta, run.RecordSummaryAnnotations),
		},
		Parts: []manifest.Part{manifest.InlinePart(manifest.Record, parsed.Record)},
	}
	for _, container := range slices.Sorted(keys(m.logs)) {
		part := manifest.Part{Type: manifest.Log, State: manifest.Complete, Container: container}
		if part.SetText([]byte(m.logs[container]), manifest.MaxTexts) == 0 {
			key, err := clusterName.Part(c.ID(), "testwriter", "log-0-"+container+".txt")
			r.must(err)
			raw, stored, err := manifest.Store(r.Context(), r.archive, key, strings.NewReader(m.logs[container]))
			r.must(err)
			part.Key, part.Content, part.Stored = key, &raw, &stored
		}
		c.Parts = append(c.Parts, part)
	}
	c.Parts = append(c.Parts, manifest.InlinePart(manifest.Events,
		[]byte(`{"kind":"EventList","apiVersion":"v1","items":[]}`)))
	text, err := manifest.Encode(c)
	r.must(err)
	key, err := c.Key()
	r.must(err)
	r.must(r.archive.Create(r.Context(), key, bytes.NewReader(text)))
	r.must(r.index.Put(r.Context(), index.Row{Commit: c.Bare(), Record: parsed.Record}))
	return c
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key := range m {
			if !yield(key) {
				return
			}
		}
	}
}

// uid makes a UUID from a digit.
func uid(digit int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", digit) }

// The runs of all tests.
var (
	pipelineOK = made{
		kind: "PipelineRun", namespace: "team", name: "build-1", uid: uid(1), created: 0, status: "True",
		reason: "Completed",
		labels: map[string]string{"tekton.dev/pipeline": "build", "app": "shop"},
	}
	childOne = made{
		kind: "TaskRun", namespace: "team", name: "build-1-compile", uid: uid(2), created: 1, owner: uid(1),
		status: "True", reason: "Succeeded",
		labels: map[string]string{"tekton.dev/pipeline": "build", "tekton.dev/pipelineRun": "build-1",
			"tekton.dev/task": "compile"},
		logs: map[string]string{"step-a": "one\n", "step-b": "two\n"},
		more: map[string]any{"podName": "build-1-compile-pod"},
	}
	childTwo = made{
		kind: "TaskRun", namespace: "team", name: "build-1-test", uid: uid(3), created: 2, owner: uid(1),
		status: "True", reason: "Succeeded",
		labels: map[string]string{"tekton.dev/pipeline": "build", "tekton.dev/pipelineRun": "build-1",
			"tekton.dev/task": "test"},
		logs: map[string]string{"step-a": "three"},
	}
	failed = made{
		kind: "TaskRun", namespace: "team", name: "lint-1", uid: uid(4), created: 100, status: "False",
		reason: "Failed",
		labels: map[string]string{"app": "cart"}, logs: map[string]string{"step-a": "four\n"},
	}
	cancelled = made{kind: "TaskRun", namespace: "team", name: "lint-2", uid: uid(5), created: 200, status: "False",
		reason: "Cancelled"}
	elsewhere = made{
		kind: "TaskRun", namespace: "other", name: "lint-1", uid: uid(6), created: 300, status: "True",
		reason: "Succeeded",
		labels: map[string]string{"app": "shop"}, logs: map[string]string{"step-a": "six\n"},
	}
	secret = made{
		kind: "TaskRun", namespace: "secret", name: "launch", uid: uid(7), created: 400, status: "True",
		reason: "Succeeded",
		labels: map[string]string{"app": "shop"}, logs: map[string]string{"step-a": "seven\n"},
	}
)

func newFullRig(t testing.TB, change ...func(*Options)) *rig {
	t.Helper()
	r := newRig(t, change...)
	for _, m := range []made{pipelineOK, childOne, childTwo, failed, cancelled, elsewhere, secret} {
		r.add(m)
	}
	return r
}
