package guard

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode"

	"github.com/indelible-ci/indelible/pkg/result"
)

// maxExplanation bounds the explanation, in bytes. It comes from a pod and may contain anything.
const maxExplanation = 1000

// explain appends to a failed TaskRun's Succeeded condition why its results were not published;
// Tekton only says `"step-build" exited with code 74`. The publisher leaves the reason in its
// termination message, which Tekton shows as the step's terminationReason and terminated.message.
// If Tekton has a terminationReason of its own (Skipped, for a last step after a failed one), only
// the message tells.
//
// It returns no operations if there is nothing to add. The text for an event is "" if the stored
// status already has it: the controller may write the same status more than once.
func explain(stored, incoming status) (ops []operation, event string) {
	conditions, err := decodeConditions(incoming)
	i := succeededIndex(conditions)
	if err != nil || i < 0 || conditions[i].Status != "False" {
		return nil, ""
	}
	text, ok := explanation(incoming.steps)
	if !ok || strings.Contains(conditions[i].Message, text) {
		return nil, ""
	}
	message := text
	if conditions[i].Message != "" {
		message = conditions[i].Message + "; " + text
	}
	ops = []operation{{op: "add", path: "/status/conditions/" + strconv.Itoa(i) + "/message",
		value: quoteJSON(message)}}
	if before, err := decodeConditions(stored); err == nil {
		if j := succeededIndex(before); j >= 0 && strings.Contains(before[j].Message, text) {
			return ops, ""
		}
	}
	return ops, text
}

// explanation returns the reason given by the step that could not publish.
func explanation(list steps) (string, bool) {
	for _, st := range list.list {
		why := saidBy(st)
		if why == "" && st.fields.text("terminationReason") == result.TerminationReasonNotPublished {
			why = "the step does not say why"
		}
		if why != "" {
			return "results not published: " + why, true
		}
	}
	return "", false
}

// saidBy returns the publisher's entry in a step's termination message, a list of keys and values
// (Tekton Pipelines, pkg/result.RunResult).
func saidBy(st step) string {
	var terminated struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal(st.fields["terminated"], &terminated); err != nil {
		return ""
	}
	var entries []struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	if err := json.Unmarshal([]byte(terminated.Message), &entries); err != nil {
		return ""
	}
	for _, e := range entries {
		if e.Key == result.TerminationMessageKey {
			return printable(e.Value)
		}
	}
	return ""
}

// printable turns a text into one bounded line.
func printable(text string) string {
	if len(text) > maxExplanation {
		text = text[:maxExplanation]
	}
	text = strings.ToValidUTF8(text, "")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text))
}
