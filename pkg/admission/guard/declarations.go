package guard

import (
	"encoding/json"
	"fmt"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

// resultTypes are the declared types of results by their names. Of two declarations with one name the last counts, as in
// the maps of Tekton's filterResults.
type resultTypes map[string]pipelinev1.ResultsType

// declarations are the results that a TaskRun's Task declares, from the stored status.taskSpec. Tekton consults
// spec.taskSpec before it (setTaskRunStatusBasedOnStepStatus in its pkg/pod/status.go), but status.taskSpec is made
// from that, is looked up last, and so decides; and it is the one the policy sees.
type declarations struct {
	// results are the Task's, computed those of them that take their value from a step result.
	results  resultTypes
	computed map[string]bool
	// steps are the results of each step, by the name it has in status.steps.
	steps map[string]resultTypes
	// feeds is, for each step, which Task result takes its value from which of its results.
	feeds map[string]map[string]string
}

func (d declarations) isComputed(name string) bool { return d.computed[name] }

// declarationsOf reads what a stored status declares. Without a taskSpec nothing is declared.
func declarationsOf(stored status) (declarations, error) {
	raw, ok := stored.fields["taskSpec"]
	if !ok {
		return declarations{}, nil
	}
	d, err := decodeDeclarations(raw)
	if err != nil {
		return declarations{}, fmt.Errorf("read status.taskSpec: %w", err)
	}
	return d, nil
}

// decodeDeclarations scans past scripts and parameters, which may be as large as the results they were made of.
func decodeDeclarations(raw json.RawMessage) (declarations, error) {
	d := declarations{results: resultTypes{}, computed: map[string]bool{}, steps: map[string]resultTypes{}}
	s := scan(raw)
	if s.Null() {
		return d, nil
	}
	var results []pipelinev1.TaskResult
	index := 0
	err := s.Object(func(key string) error {
		switch key {
		case "results":
			return s.unmarshal(&results)
		case "steps":
			return s.Array(func() error {
				name, declared, err := s.declaredStep(index)
				d.steps[name] = declared
				index++
				return err
			})
		}
		return s.Skip()
	})
	for _, r := range results {
		d.results[r.Name] = r.Type
		d.computed[r.Name] = r.Value != nil
	}
	d.feeds = feeds(results)
	return d, err
}

// declaredStep consumes a step of a taskSpec and returns its name in status.steps and its results.
func (s *scanner) declaredStep(index int) (name string, declared resultTypes, err error) {
	var results []pipelinev1.StepResult
	err = s.Object(func(key string) error {
		switch key {
		case "name":
			return s.unmarshal(&name)
		case "results":
			return s.unmarshal(&results)
		}
		return s.Skip()
	})
	declared = resultTypes{}
	for _, r := range results {
		declared[r.Name] = r.Type
	}
	if name == "" {
		name = fmt.Sprintf("unnamed-%d", index) // StepName in Tekton's pkg/pod/entrypoint.go
		// Tekton looks for a step's types by a container name that steps without a name do not have
		// (setTaskRunStatusBasedOnStepStatus in its pkg/pod/status.go), finds none, and lets the text decide.
		for name := range declared {
			declared[name] = ""
		}
	}
	return name, declared, err
}

func (s *scanner) unmarshal(into any) error {
	raw, err := s.Value()
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// feeds maps steps and their results to the Task results that take their value from them. Like Tekton's
// findStepResultsFetchedByTask it has room for one Task result only: if several name one step result, the last
// gets the value. One value that is no such reference is an error there, by which no step feeds anything.
func feeds(results []pipelinev1.TaskResult) map[string]map[string]string {
	fed := make(map[string]map[string]string)
	for _, r := range results {
		if r.Value == nil || r.Value.StringVal == "" {
			continue
		}
		step, name, err := pipelinev1.ExtractStepResultName(r.Value.StringVal)
		if err != nil {
			return nil
		}
		if fed[step] == nil {
			fed[step] = make(map[string]string)
		}
		fed[step][name] = r.Name
	}
	return fed
}
