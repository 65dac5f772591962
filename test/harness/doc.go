// Package harness connects the demo and the end-to-end tests to a cluster: clients from a
// kubeconfig, objects from YAML, waiting for runs by watching them, and requests to the API server
// as another user.
//
// It never starts or installs anything; test/cluster and the Makefile do.
package harness
