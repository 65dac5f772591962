package run

import (
	"encoding/json"
	"time"
)

// Status is the part of a status that the archiver uses. The record has all of it. Anybody may have
// written a status, with values of any type: what is wrong is left out (Parse), and keeps neither
// the run from the archive nor other runs.
type Status struct {
	Conditions     []Condition `json:"conditions"`
	CompletionTime Time        `json:"completionTime"`
	Attempt        `json:",inline"`
	// RetriesStatus has the earlier attempts, in order.
	RetriesStatus []Attempt `json:"retriesStatus"`
	// ChildReferences are a PipelineRun's.
	ChildReferences []child `json:"childReferences"`
}

// Condition is a condition of a status (https://github.com/knative/pkg, apis/condition_types.go).
type Condition struct {
	Type               string `json:"type"`
	Status             string `json:"status"`
	Reason             string `json:"reason"`
	LastTransitionTime Time   `json:"lastTransitionTime"`
}

// Succeeded returns the condition that says how a run has ended, nil if there is none. Of several
// the first counts, as for Tekton.
func Succeeded(all []Condition) *Condition {
	for i := range all {
		if all[i].Type == "Succeeded" {
			return &all[i]
		}
	}
	return nil
}

// Decided reports whether the run has ended. It has not if there is no condition.
func (c *Condition) Decided() bool { return c != nil && (c.Status == "True" || c.Status == "False") }

// Time is a time that anybody may have written, in a status or an event. It is zero if it is no
// time, or of a year that has not four digits in UTC: the API server accepts some of those, such as
// 9999-12-31T23:59:59-23:59, and then writes what neither metav1.Time nor time.Time can read.
type Time struct{ time.Time }

// UnmarshalJSON never fails.
func (t *Time) UnmarshalJSON(data []byte) error {
	t.Time = time.Time{}
	var text string
	if json.Unmarshal(data, &text) != nil {
		return nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if at = at.UTC(); err == nil && at.Year() >= 1 && at.Year() <= 9999 {
		t.Time = at
	}
	return nil
}
