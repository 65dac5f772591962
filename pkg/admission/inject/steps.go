package inject

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// How Tekton builds a step's container (pkg/pod/entrypoint.go of Tekton Pipelines 1.15).
const (
	tektonEntrypoint = "/tekton/bin/entrypoint"
	tektonRunDir     = "/tekton/run/"
	stepPrefix       = "step-"
)

// step is one step's parsed container.
type step struct {
	// container is its index in spec.containers.
	container int
	// name is the step's name as in status.steps.
	name string
	// order is the step's position, from the path of its -post_file.
	order int
	args  entrypointArgs
}

// stepContainers returns the indexes of the containers that Tekton regards as steps, by name, as
// its IsContainerStep does.
func stepContainers(pod *corev1.Pod) []int {
	var indexes []int
	for i := range pod.Spec.Containers {
		if strings.HasPrefix(pod.Spec.Containers[i].Name, stepPrefix) {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

// readSteps parses all steps and returns them in their order.
func readSteps(pod *corev1.Pod) ([]step, error) {
	var steps []step
	for _, i := range stepContainers(pod) {
		c := &pod.Spec.Containers[i]
		args, err := parseEntrypointArgs(c.Args)
		if err != nil {
			return nil, fmt.Errorf("container %s: %w", c.Name, err)
		}
		order, err := stepOrder(args.values["post_file"])
		if err != nil {
			return nil, fmt.Errorf("container %s: %w", c.Name, err)
		}
		if len(args.stepResults) > 0 && args.values["step_metadata_dir"] == "" {
			return nil, fmt.Errorf("container %s: -step_results without -step_metadata_dir", c.Name)
		}
		if len(args.stepResults) > 0 && strings.Contains(args.values["step_metadata_dir"], "=") {
			return nil, fmt.Errorf(
				"container %s: -step_metadata_dir has an equals sign, which would end the folder in the "+
					"publisher's -step", c.Name)
		}
		steps = append(steps,
			step{container: i, name: strings.TrimPrefix(c.Name, stepPrefix), order: order, args: args})
	}
	slices.SortFunc(steps, func(a, b step) int { return a.order - b.order })
	for i := 1; i < len(steps); i++ {
		if steps[i].order == steps[i-1].order {
			return nil, fmt.Errorf("steps %s and %s have the same -post_file", steps[i-1].name, steps[i].name)
		}
		if !slices.Equal(steps[i].args.results, steps[0].args.results) {
			return nil, fmt.Errorf("steps %s and %s differ in -results", steps[0].name, steps[i].name)
		}
	}
	return steps, nil
}

// stepOrder returns i for /tekton/run/<i>/out.
func stepOrder(postFile string) (int, error) {
	index, ok := strings.CutPrefix(postFile, tektonRunDir)
	index, ok2 := strings.CutSuffix(index, "/out")
	order, err := strconv.Atoi(index)
	if !ok || !ok2 || err != nil || order < 0 {
		return 0, errors.New("-post_file is not of the form " + tektonRunDir + "<step>/out")
	}
	return order, nil
}
