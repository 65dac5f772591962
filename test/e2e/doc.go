// Package e2e holds whole flows on a real cluster: a real API server, kubelet and container
// runtime, an unmodified Tekton, and Indelible installed by the manifests a user would apply.
//
// The tests need KUBECONFIG and are built with the tag e2e; `make test-e2e` prepares all that.
// Files are named for what they cover and run in alphabetical order: flows leave the installation
// alone; attack, outage and the ones after it change it and put it back.
package e2e
