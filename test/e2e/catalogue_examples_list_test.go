//go:build e2e

package e2e

// examplesLeftOut are Tekton's examples that are not run, each with its reason.
var examplesLeftOut = map[string]string{}
