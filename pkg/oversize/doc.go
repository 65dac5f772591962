// Package oversize ends runs that Tekton's controller cannot write because its request exceeds the
// 3 MiB that an API server reads. Such a write reaches no admission (pkg/admission/fit handles
// smaller ones), and Tekton retries it until the run's timeout or, if not even the start could be
// stored, for ever.
//
// The signal is the event that the controller sends about each failed write: UpdateFailed,
// TaskRunsCreationFailed and the like, with the API server's message (watch.go). Anybody who may
// create events in the run's namespace can forge one. So only its subject is used: the size is
// estimated from the runs themselves (estimate.go, taskrun.go), and a run that cannot be that large
// is left alone. Others are cancelled, with a message (end.go):
//
//   - a TaskRun by spec.status and spec.statusMessage, which Tekton copies into the condition;
//   - a PipelineRun by spec.status and the annotation indelible.dev/too-large, which
//     pkg/admission/fit copies there.
//
// The event RunTooLarge has the same message. The package needs the archiver's rights, and runs in
// its leader.
package oversize
