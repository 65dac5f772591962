// Package node runs one real Kubernetes node on this machine: it owns the processes, the network
// and the mounts of the cluster, everything that Kubernetes itself leaves behind, and the folder
// that remembers them.
package node
