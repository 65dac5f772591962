package fit

// Rule "when": the when expressions that a PipelineRun's status shows for each child and each
// skipped task are replaced by sizes and digests. Tekton writes them with the results substituted,
// one copy per use of a result, and never reads them:
//
//   - childReferences: reconcile (Tekton 1.15, pkg/reconciler/pipelinerun/pipelinerun.go) reads
//     each one's pipelineTaskName, updatePipelineRunStatusFromChildRefs its name,
//     getChildObjectsFromPRStatusForTaskNames (cancel.go) and GetNamesOfTaskRuns
//     (resources/pipelinerunresolution.go) kind, name and pipelineTaskName. Which tasks run is
//     decided by the PipelineTask's own When, with results substituted anew each time
//     (ResolveResultRef, ApplyTaskResults); GetChildReferences (resources/pipelinerunstate.go)
//     makes the copies from it at the end of each reconcile.
//   - skippedTasks: made at the end of each reconcile (GetSkippedTasks), and read by nothing in
//     Tekton.
//
// The full copies come with each write and are shortened in each; the API server stores nothing if
// the result is unchanged. The expressions before substitution are in status.pipelineSpec.
func (o *object) shortenWhen(size int) {
	var copies []path
	for _, list := range []string{"childReferences", "skippedTasks"} {
		for i := range o.list("status", list) {
			copies = append(copies, o.textsBelow(path{"status", list, i, "whenExpressions"})...)
		}
	}
	o.shorten(size, copies)
}
