package fit

// Rule "embedded": where a run has its Task or Pipeline in its own spec, long strings in the copy that its status has of that are
// shortened to sizes and digests. Tekton (1.15) takes the spec then, whenever it needs it: GetTaskData
// (pkg/reconciler/taskrun/resources/taskspec.go) and GetPipelineData (pkg/reconciler/pipelinerun/pipelinespec/pipelinespec.go) read
// the copy only for a taskRef or pipelineRef. What else it reads of the copy are names, declared results and retries:
// updateStepStatusesFromPod, resolveTask for a taskRef, memberOfLookup, ApplyPipelineTaskContexts.
//
// This is how a result that Tekton has put into an embedded Task (propagated results) is stored once and not twice.
func (o *object) shortenEmbedded(size int, spec string) {
	if _, embedded := o.at("spec", spec).(map[string]any); !embedded {
		return
	}
	var copies []path
	for _, part := range []string{"steps", "sidecars", "stepTemplate", "tasks", "finally"} {
		copies = append(copies, o.textsBelow(path{"status", spec, part})...)
	}
	o.shorten(size, copies)
}
