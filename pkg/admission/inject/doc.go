// Package inject decides what becomes of a TaskRun's Pod when it is created: whether its results are published by
// Indelible, and whether it can be started with the large values it was given.
//
// To publish, it takes -results and -step_results out of the arguments of Tekton's entrypoint in every step, so that
// no result passes through a termination message of 4096 bytes, and wraps the command of the last step in the publisher
// (DESIGN, D1), which it mounts from an image (D2). Where it cannot be sure, it leaves the results to Tekton and says why:
// in a metric, in an annotation of the Pod and, where nobody chose it, in a warning.
//
// To consume, it passes scripts in pieces if they are too long for one string. A Pod that would fail for certain, because
// another string is too long or because it says that its results will be larger than they may, is refused before it
// runs: Tekton fails the TaskRun with the reason. Everything else is let pass, changed or not.
//
// The package owns the path /inject of the webhook, everything on a Pod that begins with "indelible", and the
// arguments of the init container that writes the scripts.
//
// The patch names each place it changes and nothing else. The Pod is read through the typed API, but never written
// through it, so a field this version does not know is neither lost nor altered.
package inject
