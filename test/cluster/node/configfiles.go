package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// apiURL is where clients on this machine find the API server.
const apiURL = "https://127.0.0.1:6443"

// PauseImage holds a pod's network namespace open.
const PauseImage = "docker.io/library/indelible-pause:local"

// configFile is a file and the component that reads it, if one reads it only when it starts.
type configFile struct{ path, content, reader string }

// writeConfig writes the configuration of every component. It is compared on each up, so that a new
// version of this tool reaches a cluster that was made by an older one: the reader of a changed
// file is ended, and started again with the others.
func (s State) writeConfig() error {
	runc, err := exec.LookPath("runc")
	if err != nil {
		return fmt.Errorf("find runc: %w", err)
	}
	files := []configFile{
		{s.config("containerd.toml"), s.containerdConfig(runc, snapshotter(string(s))), "containerd"},
		{s.config("kubelet.yaml"), s.kubeletConfig(resolvConf()), "kubelet"},
		{s.config("kube-proxy.yaml"), s.kubeProxyConfig(), "kube-proxy"},
		{filepath.Join(s.cniConfig(), "10-indelible.conflist"), s.cni(), ""},
		{s.Kubeconfig(), s.kubeconfig("admin"), ""},
	}
	for _, user := range []string{"kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet",
		"volume-provisioner"} {
		files = append(files, configFile{s.userConfig(user), s.kubeconfig(user), user})
	}
	for _, file := range files {
		if err := s.update(file); err != nil {
			return err
		}
	}
	return nil
}

// update leaves an unchanged file alone: kube-proxy, for one, ends when its file is written.
func (s State) update(file configFile) error {
	if now, err := os.ReadFile(file.path); err == nil && string(now) == file.content {
		return nil
	}
	if file.reader != "" {
		if err := s.stop(file.reader, 20*time.Second); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(file.path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file.path, []byte(file.content), 0o600)
}

func (s State) kubeconfig(user string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: indelible, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: %[3]s, user: {client-certificate: %q, client-key: %q}}]
contexts: [{name: indelible, context: {cluster: indelible, user: %[3]s}}]
current-context: indelible
`, apiURL, s.pki("ca.crt"), user, s.pki(user+".crt"), s.pki(user+".key"))
}

// overlayMagic is statfs's type of overlay file systems, of which a second one cannot be stacked on
// a first.
const overlayMagic = 0x794c7630

func snapshotter(dir string) string {
	var stat syscall.Statfs_t
	if syscall.Statfs(dir, &stat) == nil && stat.Type == overlayMagic {
		return "native"
	}
	return "overlayfs"
}

func (s State) containerdConfig(runc, snapshotter string) string {
	return fmt.Sprintf(`version = 3
root = %q
state = %q
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.btrfs"]

[grpc]
  address = %q

[plugins.'io.containerd.cri.v1.images']
  snapshotter = %q
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = %q

[plugins.'io.containerd.cri.v1.runtime']
  # Without CAP_SYS_RESOURCE no oom_score_adj may go below the parent's, and runc would fail.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = [%q]
    conf_dir = %q
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    runtime_path = %q
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = %q
      SystemdCgroup = false
`, s.path("containerd"), s.path("run", "containerd"), s.containerdSocket(), snapshotter, PauseImage, cniPlugins, s.cniConfig(),
		s.bin("containerd-shim-runc-v2"), runc)
}

// resolvConf is the file of real name servers where systemd-resolved puts a stub into
// /etc/resolv.conf, which no pod reaches.
func resolvConf() string {
	const resolved = "/run/systemd/resolve/resolv.conf"
	if content, err := os.ReadFile("/etc/resolv.conf"); err == nil && strings.Contains(string(content), "127.0.0.53") {
		if _, err := os.Stat(resolved); err == nil {
			return resolved
		}
	}
	return "/etc/resolv.conf"
}

// kubeletConfig: images are loaded and cannot be pulled again, so none may ever be collected, and
// the thresholds of eviction leave a developer's full disk alone.
func (s State) kubeletConfig(resolvConf string) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %s
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %q}}
authorization: {mode: Webhook}
tlsCertFile: %q
tlsPrivateKeyFile: %q
containerRuntimeEndpoint: %q
cgroupDriver: cgroupfs
failCgroupV1: false
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
failSwapOn: false
podLogsDir: %q
volumePluginDir: %q
resolvConf: %q
maxPods: 200
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%%, nodefs.inodesFree: 1%%, imagefs.available: 1%%, imagefs.inodesFree: 1%%}
`, nodeIP, s.pki("ca.crt"), s.pki("kubelet-server.crt"), s.pki("kubelet-server.key"), "unix://"+s.containerdSocket(),
		s.podLogs(), s.path("kubelet", "volume-plugins"), resolvConf)
}

// kubeProxyConfig: every connection to a service is masqueraded. Two pods of one bridge would
// otherwise answer each other directly, past the translation of addresses, on machines without
// br_netfilter. The machine's own limits stay.
func (s State) kubeProxyConfig() string {
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
bindAddress: 127.0.0.1
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
hostnameOverride: %s
nodePortAddresses: [primary]
clientConnection: {kubeconfig: %q}
iptables: {masqueradeAll: true, localhostNodePorts: false}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`, nodeName, s.userConfig("kube-proxy"))
}

func (s State) cni() string {
	return fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "indelible", "plugins": [
  {"type": "bridge", "bridge": %q, "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}
]}
`, bridge, s.path("run", "cni"), podRange)
}
