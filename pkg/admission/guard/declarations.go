package guard

import (
	"encoding/json"
	"fmt"
)

// resultTypes maps names of results to their declared types. The last of two declarations of one
// name counts, as in the maps of Tekton's filterResults.
type resultTypes map[string]string

// declarations are the results that a TaskRun's Task declares, from the stored status.taskSpec.
// Tekton consults spec.taskSpec first (setTaskRunStatusBasedOnStepStatus in its pkg/pod/status.go),
// but status.taskSpec is derived from it and looked up last, and so decides; it is also what the
// policy sees.
type declarations struct {
	// results are the Task's; computed those that take their value from a step result.
	results  resultTypes
	computed map[string]bool
	// steps are the results of each step, by its name in status.steps.
	steps map[string]resultTypes
	// feeds maps, for each step, its results to the Task results that take their value from them.
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

// decodeDeclarations skips scripts and parameters, which may be as large as the results they came
// from.
func decodeDeclarations(raw json.RawMessage) (declarations, error) {
	d := declarations{results: resultTypes{}, computed: map[string]bool{}, steps: map[string]resultTypes{}}
	s := scan(raw)
	if s.Null() {
		return d, nil
	}
	var results []declaredResult
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
	var results []declaredResult
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
		// Tekton looks up a step's types by container name, which fails for steps without a name
		// (setTaskRunStatusBasedOnStepStatus in its pkg/pod/status.go); then the text decides the
		// type.
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

// feeds maps steps and their results to the Task results that take their value from them. Like
// Tekton's findStepResultsFetchedByTask, it keeps one Task result per step result: of several, the
// last. A value that is not such a reference is an error there, and then no step feeds anything.
func feeds(results []declaredResult) map[string]map[string]string {
	fed := make(map[string]map[string]string)
	for _, r := range results {
		if r.Value == nil || r.Value.text == "" {
			continue
		}
		step, name, err := stepResultOf(r.Value.text)
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
