// Package publisher is what Indelible runs inside a TaskRun's pod: it wraps each step's command. When that command has
// ended, it reads the results the step left in files. All steps but the last keep them for the last one, which writes
// those of all steps onto the pod's own TaskRun.
//
// It owns the whole of that: the process (process.go), reading the files (collect.go), keeping them (keep.go), what all
// steps' reports come to (combine.go), the one PUT with its retries (put.go, attempt.go), the time it may take
// (bound.go), the comparison of what is stored with what was sent (verify.go), and the words for a failure (explain.go,
// termination.go). It knows no TaskSpec: values travel as raw strings and the guard types them. It depends on nothing in
// the step's environment (environment.go).
//
// Two promises shape it. A step's container behaves as if the publisher were not there: same stdin, stdout,
// stderr, signals and exit code, and not a line of its own unless something went wrong. And a TaskRun never
// succeeds without its results: if they could not be stored, the container exits non-zero and its termination
// message says why.
//
// The package uses the standard library only, because its binary is put into every injected pod.
package publisher
