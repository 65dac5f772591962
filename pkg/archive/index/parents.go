package index

import (
	"encoding/json"
	"fmt"
	"strings"
)

// pipelineRun is the kind of runs that make others.
const pipelineRun = "PipelineRun"

// sameAsResult is no UID, and sorts before all.
const sameAsResult = "!"

// owners are what of a record tells who made the run.
type owners []struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	UID        string `json:"uid"`
	Controller bool   `json:"controller"`
}

// parent returns the UID of the PipelineRun that made the run, empty if none did.
func (o owners) parent() string {
	for _, owner := range o {
		if owner.Kind == pipelineRun && owner.Controller && strings.HasPrefix(owner.APIVersion, "tekton.dev/") {
			return owner.UID
		}
	}
	return ""
}

// ParentOf returns the UID of the PipelineRun that made a run, by its record; empty if none did.
func ParentOf(record []byte) (string, error) {
	var run struct {
		Metadata struct {
			OwnerReferences owners `json:"ownerReferences"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(record, &run); err != nil {
		return "", fmt.Errorf("who made the run: %w", err)
	}
	return run.Metadata.OwnerReferences.parent(), nil
}

// parentColumn is how a row has it.
func parentColumn(parent, result string) string {
	if parent != "" && parent == result {
		return sameAsResult
	}
	return parent
}
