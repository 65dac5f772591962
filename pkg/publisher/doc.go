// Package publisher is what Indelible runs inside a TaskRun's pod: it wraps the last step's command, and when
// that command has ended it writes the results the steps left in files onto the pod's own TaskRun.
//
// It owns the whole of that: the process (process.go), reading the files (collect.go), the one PATCH with its
// retries (patch.go, attempt.go), the time it may take (bound.go), the comparison of what is stored with what was
// sent (verify.go), and the words for a failure (explain.go, termination.go). It knows no TaskSpec: values travel
// as raw strings and the guard types them.
//
// Two promises shape it. A step's container behaves as if the publisher were not there: same stdin, stdout,
// stderr, signals and exit code, and not a line of its own unless something went wrong. And a TaskRun never
// succeeds without its results: if they could not be stored, the container exits non-zero and its termination
// message says why.
//
// The package uses the standard library only, because its binary is put into every injected pod.
package publisher
