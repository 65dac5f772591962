// Package publisher runs inside a TaskRun's pod. It wraps the command of every step that reports
// results and of the last step. When a step's command has ended, the publisher reads the result
// files; every step but the last keeps them for the last one, which writes the results of all steps
// onto the pod's own TaskRun.
//
// One file per stage, in this order: the process (process.go), signals that ask it to end
// (sigterm.go), reading the files (collect.go), keeping them and starting the next step (keep.go),
// merging all steps' reports (combine.go), the retry loop (retry.go), the one PUT (put.go) and its
// answer (answer.go), the deadline (bound.go), the comparison of what is stored with what was sent
// (verify.go), and the messages on failure (advice.go, explain.go, termination.go). run.go calls
// them. The package knows no TaskSpec: values are sent as raw strings and the guard types them. It
// depends on nothing in the step's environment (environment.go).
//
// It guarantees two things. A step's container behaves as without the publisher: same stdin,
// stdout, stderr, signals and exit code, and no output of its own unless something went wrong. And
// a TaskRun never succeeds without its results: if they could not be stored, the container exits
// non-zero and its termination message says why.
//
// Standard library only: the binary is mounted into every injected pod.
package publisher
