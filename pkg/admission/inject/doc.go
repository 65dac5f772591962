// Package inject handles a TaskRun's Pod at its creation: it makes the steps publish their results
// through Indelible, and makes it possible to start the Pod with the large values it was given.
//
// Publishing: -results and -step_results are removed from the arguments of Tekton's entrypoint in
// every step, so that no result passes through a termination message of 4096 bytes, and the
// commands of steps that report results and of the last step are wrapped in the publisher
// (docs/design.md, D1), which is mounted from an image (D2). If anything is unclear, the results
// are left to Tekton, and the reason is shown in a metric, in an annotation of the Pod and, unless
// somebody chose it, in a warning.
//
// Consuming: scripts too long for one string are split. A Pod that would certainly fail, because
// another string is too long or because it declares results larger than allowed, is refused before
// it runs, and Tekton fails the TaskRun with the reason. All other Pods are allowed, changed or
// not.
//
// checks.go has the order of all checks; commandline.go rewrites the steps' command lines,
// scripts.go the scripts'; patch.go turns a plan into JSON patch operations.
//
// The package owns the webhook's path /inject, everything on a Pod whose name begins with
// "indelible", and the arguments of the init container that writes the scripts.
//
// The patch contains only the changes. The Pod is read through the typed API but not written
// through it, so fields that this version does not know are preserved.
package inject
