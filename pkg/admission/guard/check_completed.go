package guard

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Rule "completed" ("frozen" in metrics and logs): a completed TaskRun's results are final. It is
// completed when the stored status has a completion time or a decided Succeeded condition: others
// may have read its results by then, or signed them. Publishing again what is stored adds nothing
// and is allowed: the first answer may have been lost.
func checkCompleted(stored status, adds bool) *denial {
	if !adds || !isCompleted(stored) {
		return nil
	}
	return forbidden(ruleCompleted,
		"the TaskRun is finished (status.completionTime or its Succeeded condition): its results are final")
}

func isCompleted(stored status) bool {
	if t, ok := stored.fields["completionTime"]; ok && string(t) != "null" {
		return true
	}
	conditions, err := decodeConditions(stored)
	if err != nil {
		return true // unreadable: assume the worst
	}
	i := succeededIndex(conditions)
	return i >= 0 && (conditions[i].Status == "True" || conditions[i].Status == "False")
}

// condition is the part of a TaskRun's condition (knative.dev/pkg/apis.Condition) that the guard
// reads.
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
