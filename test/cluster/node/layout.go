package node

import "path/filepath"

// Addresses of the cluster. They live on a bridge of our own, so nothing depends on the addresses
// of the machine and the certificates stay valid when it moves to another network.
const (
	nodeName     = "indelible-node"
	bridge       = "indelible0"
	podRange     = "10.244.0.0/24"
	nodeIP       = "10.244.0.1"
	serviceRange = "10.96.0.0/16"
	// apiServiceIP is the first of serviceRange: the API server gives it to its own service.
	apiServiceIP = "10.96.0.1"
)

// State is the folder of one cluster. Everything the cluster writes is below it, apart from what
// layout names otherwise.
type State string

func (s State) path(parts ...string) string {
	return filepath.Join(append([]string{string(s)}, parts...)...)
}

func (s State) bin(name string) string { return s.path("bin", name) }
func (s State) pki(name string) string { return s.path("pki", name) }
func (s State) log(name string) string { return s.path("logs", name+".log") }
func (s State) pid(name string) string { return s.path("pids", name+".json") }

func (s State) config(name string) string { return s.path("config", name) }

func (s State) userConfig(user string) string { return s.path("config", user+".kubeconfig") }

// Kubeconfig is the administrator's; its place never changes.
func (s State) Kubeconfig() string { return s.path("kubeconfig") }

// Logs holds the output of every component, and of pods in the folder pods.
func (s State) Logs() string { return s.path("logs") }

// Kubectl is a kubectl of the cluster's own version.
func (s State) Kubectl() string { return s.bin("kubectl") }

func (s State) podLogs() string          { return s.path("logs", "pods") }
func (s State) kubeletRoot() string      { return s.path("kubelet") }
func (s State) containerdSocket() string { return s.path("run", "containerd.sock") }
func (s State) cniConfig() string        { return s.path("config", "cni") }
func (s State) volumes() string          { return s.path("volumes") }

// Places outside the state folder that components insist on.
const (
	// containerLogLinks is where the kubelet links container logs, wherever they are.
	containerLogLinks = "/var/log/containers"
	// shimSocketDir is where containerd's shims listen, whatever containerd's own folder is.
	shimSocketDir = "/run/containerd/s"
	cgroupRoot    = "/sys/fs/cgroup"
	cniPlugins    = "/usr/lib/cni"
)
