package fit

// Rule "embedded": if a run has its Task or Pipeline in its own spec, long strings in the status's
// copy are replaced by sizes and digests. Tekton (1.15) then always uses the spec: GetTaskData
// (pkg/reconciler/taskrun/resources/taskspec.go) and GetPipelineData
// (pkg/reconciler/pipelinerun/pipelinespec/pipelinespec.go) read the copy only for a taskRef or
// pipelineRef. Otherwise it reads only names, declared results and retries from the copy:
// updateStepStatusesFromPod, resolveTask for a taskRef, memberOfLookup, ApplyPipelineTaskContexts.
//
// So a result that Tekton has substituted into an embedded Task (propagated results) is stored once
// instead of twice.
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
