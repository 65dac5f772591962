// Package preflight finds out whether a cluster and the manifests to be installed on it fit, before anything is
// applied.
//
// The worst misfit is the name of Tekton's controller. The guard and the policies trust one user to write any
// TaskRun status and to make the pods of TaskRuns: with another name than the one Tekton runs by, no TaskRun of
// the cluster starts or ends. [Running] asks the cluster, [Named] reads what a manifest trusts. The webhook's
// self-check (pkg/admission/selfcheck) compares the same for as long as it runs.
//
// Nothing here changes anything.
package preflight
