package index

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// pipelineRun is the kind of runs that create others.
const pipelineRun = "PipelineRun"

// sameAsResult stands for the Result's name. It is no UID, and sorts before all UIDs.
const sameAsResult = "!"

// owners are a record's owner references.
type owners []struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	UID        string `json:"uid"`
	Controller bool   `json:"controller"`
}

// parent returns the UID of the PipelineRun that created the run, empty if none did.
func (o owners) parent() string {
	for _, owner := range o {
		if owner.Kind == pipelineRun && owner.Controller && strings.HasPrefix(owner.APIVersion, "tekton.dev/") {
			return owner.UID
		}
	}
	return ""
}

// ParentOf returns the UID of the PipelineRun that created a run, from its record; empty if none
// did.
func ParentOf(record []byte) (string, error) {
	var run struct {
		Metadata struct {
			OwnerReferences owners `json:"ownerReferences"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(record, &run); err != nil {
		return "", fmt.Errorf("find the run's owner: %w", err)
	}
	return run.Metadata.OwnerReferences.parent(), nil
}

// archivedUID is what UIDs in keys of the archive are (pkg/archive/layout).
var archivedUID = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// parentColumn returns the value of the column parent. Anything can be an owner's UID, also what a
// database cannot index; what no archived run can have is as good as no parent.
func parentColumn(parent, result string) string {
	switch {
	case !archivedUID.MatchString(parent):
		return ""
	case parent == result:
		return sameAsResult
	}
	return parent
}
