// Package oversize ends runs that Tekton's controller cannot write because what it sends is larger than an API server reads: 3 MiB.
// No admission sees such a write (pkg/admission/fit does with smaller ones), and Tekton tries it again and again, until the run's timeout
// or, where not even the start could be stored, for ever.
//
// What tells is the event that the controller sends about each write that fails: UpdateFailed, TaskRunsCreationFailed and the like,
// with the API server's words (watch.go). Anybody who may create events in the run's namespace may have sent it,
// with anything in it. So of an event only what it is about is kept, the size is estimated from the runs themselves (estimate.go,
// taskrun.go), and a run that cannot be that large is left alone. The others are cancelled, with words (end.go):
//
//   - a TaskRun by spec.status and spec.statusMessage, which Tekton puts into the condition;
//   - a PipelineRun by spec.status and the annotation indelible.dev/too-large, which pkg/admission/fit puts there.
//
// The event RunTooLarge says the same. It needs the rights that the archiver has, and runs in its leader.
package oversize
