package fit

// Rule "when": the when expressions that a PipelineRun's status shows for each child and each skipped task are shortened to
// sizes and digests. Tekton writes them with the results put in, one copy for each time a result is used, and never reads them:
//
//   - childReferences: reconcile (Tekton 1.15, pkg/reconciler/pipelinerun/pipelinerun.go) looks at each one's pipelineTaskName,
//     updatePipelineRunStatusFromChildRefs at its name and keeps the rest, getChildObjectsFromPRStatusForTaskNames (cancel.go)
//     and GetNamesOfTaskRuns (resources/pipelinerunresolution.go) at kind, name and pipelineTaskName. Which tasks run is
//     decided by the PipelineTask's own When, with the results put in anew each time (ResolveResultRef, ApplyTaskResults), from which
//     GetChildReferences (resources/pipelinerunstate.go) makes the copies at the end of each reconcile.
//   - skippedTasks: made at the end of each reconcile (GetSkippedTasks) and read by nothing in Tekton.
//
// As the copies come in full with each write, they are shortened in each; the API server stores nothing where that makes no difference.
// What the expressions were, before results were put in, is in status.pipelineSpec.
func (o *object) shortenWhen(size int) {
	var copies []path
	for _, list := range []string{"childReferences", "skippedTasks"} {
		for i := range o.list("status", list) {
			copies = append(copies, o.textsBelow(path{"status", list, i, "whenExpressions"})...)
		}
	}
	o.shorten(size, copies)
}
