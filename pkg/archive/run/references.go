package run

import (
	"encoding/json"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/stay"
)

// Labels with the name of a run's Pipeline or Task, also of one found by a resolver
// (pkg/apis/pipeline/register.go).
const (
	pipelineLabel = "tekton.dev/pipeline"
	taskLabel     = "tekton.dev/task"
)

// References are a spec's references. A run with an embedded Pipeline or Task has none; Tekton
// labels it with its own name.
type References struct {
	PipelineRef *json.RawMessage `json:"pipelineRef"`
	TaskRef     *json.RawMessage `json:"taskRef"`
	CustomRef   *struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"customRef"`
}

// Name returns the name of the Pipeline, Task or custom task, empty if it is embedded.
func (r *References) Name(labels map[string]string) string {
	switch {
	case r.PipelineRef != nil:
		return labels[pipelineLabel]
	case r.TaskRef != nil:
		return labels[taskLabel]
	case r.CustomRef != nil:
		return r.CustomRef.Kind + " " + r.CustomRef.Name
	}
	return ""
}

// Stays returns what the policies of archive.keep need to know about the run.
func (r *Run) Stays() *stay.Run {
	return &stay.Run{
		Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, UID: r.UID, Created: r.CreationTimestamp.Time,
		Archived: r.ArchivedAt(),
		Labels:   r.Labels, Outcome: manifest.Outcome(r.Outcome()), Of: stay.Of(r.spec.Name(r.Labels), r.GenerateName),
	}
}
