package fit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/indelible-ci/indelible/pkg/result"
)

// ReasonResultsTooLarge is the reason of the condition Succeeded, and of the event, of a
// PipelineRun whose results could not be stored.
const ReasonResultsTooLarge = "PipelineResultsTooLarge"

// resultsNotStored is the beginning of the text added to the condition's message.
const resultsNotStored = "results not stored: "

// Rule "pipelineresults": a completed PipelineRun that cannot be stored with all its results is
// stored without the largest ones, as many as necessary, and as failed: its consumers must not take
// it for complete. The condition names each dropped result with its size, the limit, and ways out.
//
// Tekton's controller (1.15) writes the end, condition and results at once, after sending its own
// event (ReconcileKind and finishReconcileUpdateEmitEvents in
// pkg/reconciler/pipelinerun/pipelinerun.go), and ignores what the API server returns. Later it
// finds the PipelineRun done and only cleans up. A controller with an outdated copy writes the same
// again, with the same outcome.
//
// It returns the text for an event, "" if there is nothing to report or the stored object already
// has it.
func (o *object) dropPipelineResults(stored []byte) (event string) {
	i, was := o.succeeded(), o.size
	dropped := o.dropLargest()
	if len(dropped) == 0 {
		return ""
	}
	text := fmt.Sprintf(resultsNotStored+"the PipelineRun is %s as stored, with its results, but at most %s can be "+
		"stored; left out: %s. %s",
		result.Size(was), result.Size(storable), strings.Join(dropped, ", "), wayOut)
	condition := path{"status", "conditions", i}
	if o.text(condition.then("status")...) == "True" {
		o.set("False", condition.then("status"))
		o.set(ReasonResultsTooLarge, condition.then("reason"))
	}
	o.set(joined(o.text(condition.then("message")...), text), condition.then("message"))
	if strings.Contains(storedMessage(stored), resultsNotStored) {
		return ""
	}
	return text
}

// dropLargest removes results, largest first, until the object can be stored, and describes those
// it removed.
func (o *object) dropLargest() (dropped []string) {
	var order []int
	for i := range o.list("status", "results") {
		order = append(order, i)
	}
	length := func(i int) int { return encodedLen(o.at("status", "results", i, "value")) }
	slices.SortStableFunc(order, func(a, b int) int { return length(b) - length(a) })
	omitted := make(map[int]bool)
	size := o.size
	for _, i := range order {
		if size <= storable-roomForWords {
			break
		}
		size -= encodedLen(o.at("status", "results", i))
		omitted[i] = true
		value := o.at("status", "results", i, "value")
		dropped = append(dropped,
			fmt.Sprintf("result %.100q, %s", o.text("status", "results", i, "name"), sizes(value)))
	}
	if len(omitted) == 0 {
		return nil
	}
	left := []any{}
	for i, r := range o.list("status", "results") {
		if !omitted[i] {
			left = append(left, r)
		}
	}
	o.set(left, path{"status", "results"})
	return dropped
}

func joined(message, text string) string {
	if message == "" {
		return text
	}
	return message + "; " + text
}
