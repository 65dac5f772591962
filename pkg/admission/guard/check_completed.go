package guard

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Rule "frozen": a finished TaskRun's results are final. It is finished when the stored status has a completion
// time or a Succeeded condition that is decided; others have read its results by then, and may have signed them.
// Publishing once more what is stored adds nothing, and passes: the answer to the first time may have been lost.
func checkCompleted(stored status, adds bool) *denial {
	if !adds || !isCompleted(stored) {
		return nil
	}
	return forbidden(ruleCompleted, "the TaskRun is finished (status.completionTime or its Succeeded condition): its results are final")
}

func isCompleted(stored status) bool {
	if t, ok := stored.fields["completionTime"]; ok && string(t) != "null" {
		return true
	}
	conditions, err := decodeConditions(stored)
	if err != nil {
		return true // what cannot be read cannot be shown to be unfinished
	}
	i := succeededIndex(conditions)
	return i >= 0 && (conditions[i].Status == "True" || conditions[i].Status == "False")
}

// condition is a condition of a TaskRun (knative.dev/pkg/apis.Condition) as far as the guard reads it.
type condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Message string `json:"message"`
}

func decodeConditions(st status) ([]condition, error) {
	raw, ok := st.fields["conditions"]
	if !ok {
		return nil, nil
	}
	var conditions []condition
	if err := json.Unmarshal(raw, &conditions); err != nil {
		return nil, fmt.Errorf("read status.conditions: %w", err)
	}
	return conditions, nil
}

// succeededIndex returns the index of the Succeeded condition, -1 if there is none.
func succeededIndex(conditions []condition) int {
	return slices.IndexFunc(conditions, func(c condition) bool { return c.Type == "Succeeded" })
}
