// Package guard decides who may write what into the status of a TaskRun (DESIGN, D3–D6), and keeps what was written.
//
// # Two webhooks
//
// guard.indelible.dev (NewGuard, failure policy Fail) sees every UPDATE of taskruns/status but those of Tekton's
// controller that leave stored results as they are: its matchConditions let these pass in the API server, so that a
// TaskRun that publishes costs one call and any other none.
//
// carry-over.indelible.dev (NewCarryOver, failure policy Ignore) sees those writes of the controller that would lose step
// results, or that end a TaskRun whose publisher failed. It only ever makes a status more useful, and must never hold one
// up: with Fail, Tekton could complete no such TaskRun while the webhook is away.
//
// # Life of a request
//
// writer.go says who writes, from userInfo alone. What happens then depends on it:
//
//   - the trusted controller: restore.go puts stored results back, unless retry.go finds a genuine retry;
//   - a service account: it must be the TaskRun's own pod (check_identity.go, check_owner.go), changes results only
//     (check_fields.go), declared ones (check_declared.go), once (check_once.go), while the run is not done
//     (check_frozen.go), within the limits (check_size.go); typing.go and merge.go compute what is then stored;
//   - anybody else: everything but results (check_others.go).
//
// Each rule is a function from values to a denial. Only response.go builds responses and logs them, and only patch.go
// builds patches. Objects are scanned once (scan.go, object.go): results are carried and compared as the bytes they came
// in, because a request may hold two megabytes of them.
//
// The ValidatingAdmissionPolicy in config/policy states the same rules a second time, for the API server alone.
package guard
