// Package inject decides, when a TaskRun's Pod is created, whether its results are published by Indelible, and if
// so rewrites the Pod: it takes -results and -step_results out of the arguments of Tekton's entrypoint in every
// step, so that no result passes through a termination message of 4096 bytes, and wraps the command of the last
// step in the publisher (DESIGN, D1), which it mounts from an image (D2).
//
// The package owns the path /inject of the webhook and everything on a Pod that begins with "indelible". It never
// refuses a Pod: where it cannot be sure, it leaves the Pod to Tekton and says why, in a metric and, where somebody
// waits for large results, in a warning.
//
// The patch names each place it changes and nothing else. The Pod is read through the typed API, but never written
// through it, so a field this version does not know is neither lost nor altered.
package inject
