package guard

import (
	"encoding/json"
	"fmt"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

// declarations are the results that a TaskRun's Task declares, from the stored status.taskSpec. Tekton consults
// spec.taskSpec before it (setTaskRunStatusBasedOnStepStatus in its pkg/pod/status.go), but status.taskSpec is made
// from that, is looked up last, and so decides; and it is the one the policy sees.
type declarations struct {
	results []pipelinev1.TaskResult
	steps   []declaredStep
}

// declaredStep is a step by the name it has in status.steps.
type declaredStep struct {
	name    string
	results []pipelinev1.StepResult
}

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

// decodeDeclarations scans past the scripts and parameters, which may be as large as the results they were made of.
func decodeDeclarations(raw json.RawMessage) (declarations, error) {
	var d declarations
	s := &scanner{data: raw}
	if s.null() {
		return d, nil
	}
	err := s.object(func(key string) error {
		switch key {
		case "results":
			return s.unmarshal(&d.results)
		case "steps":
			return s.array(func() error {
				st, err := s.declaredStep(len(d.steps))
				d.steps = append(d.steps, st)
				return err
			})
		}
		return s.skip()
	})
	return d, err
}

func (s *scanner) declaredStep(index int) (declaredStep, error) {
	var st declaredStep
	err := s.object(func(key string) error {
		switch key {
		case "name":
			return s.unmarshal(&st.name)
		case "results":
			return s.unmarshal(&st.results)
		}
		return s.skip()
	})
	if st.name == "" {
		st.name = fmt.Sprintf("unnamed-%d", index) // Tekton's StepName in pkg/pod/entrypoint.go
	}
	return st, err
}

func (s *scanner) unmarshal(into any) error {
	raw, err := s.value()
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// result returns the declaration of a Task result. Of two with one name the last counts, as in Tekton's map of types.
func (d declarations) result(name string) (pipelinev1.TaskResult, bool) {
	for i := len(d.results) - 1; i >= 0; i-- {
		if d.results[i].Name == name {
			return d.results[i], true
		}
	}
	return pipelinev1.TaskResult{}, false
}

// isComputed reports whether a Task result takes its value from a step result, by $(steps.x.results.y).
func (d declarations) isComputed(name string) bool {
	r, ok := d.result(name)
	return ok && r.Value != nil
}

func (d declarations) step(name string) (declaredStep, bool) {
	for _, st := range d.steps {
		if st.name == name {
			return st, true
		}
	}
	return declaredStep{}, false
}

// result returns the declaration of a step result; of two with one name the last counts.
func (st declaredStep) result(name string) (pipelinev1.StepResult, bool) {
	for i := len(st.results) - 1; i >= 0; i-- {
		if st.results[i].Name == name {
			return st.results[i], true
		}
	}
	return pipelinev1.StepResult{}, false
}

// fetches returns which Task result takes its value from which result of the step. Like Tekton's
// findStepResultsFetchedByTask it is a map from step result to Task result: if several Task results name one step
// result, only the last of them gets the value. A value that is no such reference is an error there, and means
// that the step feeds nothing.
func (d declarations) fetches(stepName string) map[string]string {
	fetched := make(map[string]string)
	for _, r := range d.results {
		if r.Value == nil || r.Value.StringVal == "" {
			continue
		}
		from, name, err := pipelinev1.ExtractStepResultName(r.Value.StringVal)
		if err != nil {
			return nil
		}
		if from == stepName {
			fetched[name] = r.Name
		}
	}
	return fetched
}
