package run

import (
	"encoding/json"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/stay"
)

// Labels by which Tekton says what a run is one of, also where a resolver found it
// (pkg/apis/pipeline/register.go).
const (
	pipelineLabel = "tekton.dev/pipeline"
	taskLabel     = "tekton.dev/task"
)

// References are what of a spec tells what the run is one of. A Pipeline or Task that is written
// out is none: Tekton then labels the run with its own name.
type References struct {
	PipelineRef *json.RawMessage `json:"pipelineRef"`
	TaskRef     *json.RawMessage `json:"taskRef"`
	CustomRef   *struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"customRef"`
}

// Name returns the name of what the run is one of, empty if it has none.
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

// Stays is what policies about the cluster ask about a run.
func (r *Run) Stays() *stay.Run {
	return &stay.Run{
		Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, UID: r.UID, Created: r.CreationTimestamp.Time,
		Archived: r.ArchivedAt(),
		Labels:   r.Labels, Outcome: manifest.Outcome(r.Outcome()), Of: stay.Of(r.spec.Name(r.Labels), r.GenerateName),
	}
}
