// Package preflight compares the manifests to be installed with the cluster, before anything is
// applied.
//
// The worst mismatch is the name of Tekton's controller. The guard and the policies trust one user
// to write any TaskRun status and to create the pods of TaskRuns: with a wrong name, no TaskRun of
// the cluster starts or ends. [Running] asks the cluster, [Named] reads whom a manifest trusts. The
// webhook's self-check (pkg/admission/selfcheck) makes the same comparison while it runs.
//
// The package only reads.
package preflight
