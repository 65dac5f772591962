package guard

import (
	"slices"
	"strconv"
)

// putBackResults puts stored results back into a write of the trusted controller that would lose or
// change them. On a conflict the controller writes its intended status over the stored one
// (updateStatus in Tekton's generated reconciler), including results that a pod wrote meanwhile.
// The controller is not at fault, so the write is repaired, not denied. It returns how many results
// it put back.
//
// A retry starts without results. retryTaskRun clears status.results but leaves status.steps with
// the failed attempt's results. They are removed, or the next attempt's pod would find them already
// stored. The entry the controller added to retriesStatus is the attempt as the controller knew it,
// so its results are put back there.
func putBackResults(stored, incoming status) (ops []operation, preserved int, d *denial) {
	if isRetry(stored, incoming) {
		ops, preserved := keepAttempt(stored, incoming)
		return append(removeStepResults(incoming.steps), ops...), preserved, nil
	}
	if len(stored.results.list) == 0 {
		return nil, 0, nil
	}
	if !incoming.present {
		return nil, 0, invalid(ruleOnce, "status cannot be removed while it has results")
	}
	want, preserved := putBack(stored.results.list, incoming.results.list)
	return patchList("/status/results", incoming.results.present, incoming.results.list, want), preserved, nil
}

// putBack returns the stored results in their order, followed by the list's other results. Of two
// results with one name the last counts, as in Tekton's removeDuplicateResults. It also returns how
// many stored results the list lacked or changed.
func putBack(stored, incoming []entry) ([]entry, int) {
	want := slices.Clone(stored)
	index := indexOf(want)
	given := make([]bool, len(stored)) // which stored results came unchanged
	for _, e := range incoming {
		i, known := index[e.name]
		switch {
		case !known:
			index[e.name] = len(want)
			want = append(want, e)
		case i < len(stored):
			given[i] = stored[i].same(e)
		default:
			want[i] = e
		}
	}
	preserved := 0
	for _, ok := range given {
		if !ok {
			preserved++
		}
	}
	return want, preserved
}

// keepAttempt puts stored results back into the last entry of retriesStatus, the attempt that has
// ended.
func keepAttempt(stored, incoming status) (ops []operation, preserved int) {
	s := scan(incoming.fields["retriesStatus"])
	var attempts []status
	if err := s.Array(func() error {
		var st status
		err := s.status(&st)
		attempts = append(attempts, st)
		return err
	}); err != nil {
		return nil, 0
	}
	last := len(attempts) - 1 // isRetry: there is one
	attempt, path := attempts[last], "/status/retriesStatus/"+strconv.Itoa(last)
	if !attempt.present {
		return nil, 0
	}
	ops, preserved = putBackSteps(path+"/steps", stored.steps, attempt.steps)
	want, missing := putBack(stored.results.list, attempt.results.list)
	if missing > 0 {
		ops = append(ops, patchList(path+"/results", attempt.results.present, attempt.results.list, want)...)
	}
	return ops, preserved + missing
}

func removeStepResults(list steps) []operation {
	var ops []operation
	for i, st := range list.list {
		if st.results.present {
			ops = append(ops, operation{op: "remove", path: "/status/steps/" + strconv.Itoa(i) + "/results"})
		}
	}
	return ops
}
