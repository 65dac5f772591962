package publisher

import (
	"fmt"
	"slices"
	"strings"

	"github.com/indelible-ci/indelible/pkg/result"
)

// stepReport is the report of one step; lists of them are in the order of the steps.
type stepReport struct {
	step StepResults
	report
}

// combine merges the steps' reports into what is published. For a Task result, the last step that
// reported it wins, even if its file is gone by now: as in Tekton, what a step has reported stays
// reported. Step results are kept per step.
//
// A value that cannot be published exactly as in its file is a *problem, and then nothing is
// published: a TaskRun must not succeed with part of its results.
//
// Results are sorted by name, like the entries of Tekton's termination messages and therefore
// status.results.
func combine(o Options, reports []stepReport) (collected, error) {
	var c combination
	for _, name := range slices.Compact(slices.Sorted(slices.Values(o.Results))) {
		if f, ok := latest(reports, name); ok {
			c.take(f, taskLabel(name), func(n named) { c.out.Results = append(c.out.Results, n) })
		}
	}
	for _, r := range reports {
		own := stepResults{Name: r.step.Step}
		slices.SortStableFunc(r.Step, func(a, b finding) int { return strings.Compare(a.Name, b.Name) })
		for _, f := range r.Step {
			if slices.Contains(r.step.Names, f.Name) {
				c.take(f, r.step.label(f.Name), func(n named) { own.Results = append(own.Results, n) })
			}
		}
		if len(own.Results) > 0 {
			c.out.Steps = append(c.out.Steps, own)
		}
	}
	return c.out, c.problem(o.Limits)
}

// latest returns the finding of the last step that reported a Task result.
func latest(reports []stepReport, name string) (finding, bool) {
	for _, r := range slices.Backward(reports) {
		if i := slices.IndexFunc(r.Results, func(f finding) bool { return f.Name == name }); i >= 0 {
			return r.Results[i], true
		}
	}
	return finding{}, false
}

// combination accumulates the output of combine.
type combination struct {
	out     collected
	seen    []measured
	invalid error
	left    bool // a file was skipped: too large together with the step's others
}

func (c *combination) take(f finding, label string, put func(named)) {
	if f.Flaw == "" {
		f.Size = int64(len(f.Value))
	}
	c.seen = append(c.seen, measured{label, f.Size})
	switch f.Flaw {
	case "":
		put(named{Name: f.Name, Value: f.Value})
	case flawUTF8:
		c.invalid = &problem{
			what: fmt.Sprintf("%s is not valid UTF-8 at byte %d of %s, and would be altered when stored", label, f.At,
				result.Size(f.Size)),
			advice: "Encode binary content, for example with base64.",
		}
	default:
		c.left = true
	}
}

// problem returns what cannot be published, nil if everything can.
func (c *combination) problem(limits result.Limits) error {
	sortBySize(c.seen)
	var total int64
	var over []measured
	for _, m := range c.seen {
		total += m.size
		if m.size > limits.Result {
			over = append(over, m)
		}
	}
	switch {
	case len(over) > 0:
		return &problem{
			what:   fmt.Sprintf("%s, over the limit of %s for one result", list(over), result.Size(limits.Result)),
			advice: adviceSize,
		}
	case total > limits.TaskRun || c.left:
		return &problem{
			what: fmt.Sprintf("all results together are %s, over the limit of %s for one TaskRun; the largest: %s",
				result.Size(total), result.Size(limits.TaskRun), list(c.seen)),
			advice: adviceSize,
		}
	case c.invalid != nil:
		return c.invalid
	}
	return nil
}
