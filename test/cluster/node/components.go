package node

import (
	"os"
	"strings"
	"time"
)

// component is a program of the cluster, how it is started and how it is known to be ready.
type component struct {
	name string
	args []string
	// ready is a URL that answers 200, or a socket's path; empty if nothing waits for this
	// component.
	ready string
	// ports must be free before the component starts.
	ports []string
	// proxied components may use the machine's HTTP proxy; all others talk to this machine only.
	proxied bool
	// patience is how long it may take to end.
	patience time.Duration
}

func (c component) program() string { return c.name }

const readyWithin = 90 * time.Second

// components are in the order of starting; they end in the opposite order.
func (s State) components() []component {
	return []component{s.etcd(), s.apiServer(), s.controllerManager(), s.scheduler(), s.containerd(), s.kubelet(),
		s.kubeProxy(),
		s.volumeProvisioner()}
}

func (c component) environment() []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	if !c.proxied {
		return env
	}
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasSuffix(strings.ToLower(name), "_proxy") {
			env = append(env, pair)
		}
	}
	return env
}

func (s State) etcd() component {
	return component{name: "etcd", ready: "https://127.0.0.1:2379/health",
		ports:    []string{"127.0.0.1:2379", "127.0.0.1:2380"},
		patience: 20 * time.Second, args: []string{
			"--name=" + nodeName, "--data-dir=" + s.path("etcd"),
			"--listen-client-urls=https://127.0.0.1:2379", "--advertise-client-urls=https://127.0.0.1:2379",
			"--listen-peer-urls=https://127.0.0.1:2380", "--initial-advertise-peer-urls=https://127.0.0.1:2380",
			"--initial-cluster=" + nodeName + "=https://127.0.0.1:2380",
			"--client-cert-auth", "--trusted-ca-file=" + s.pki("ca.crt"), "--cert-file=" + s.pki("etcd.crt"),
			"--key-file=" +
				s.pki("etcd.key"),
			"--peer-client-cert-auth", "--peer-trusted-ca-file=" + s.pki("ca.crt"),
			"--peer-cert-file=" + s.pki("etcd.crt"),
			"--peer-key-file=" + s.pki("etcd.key"),
			"--auto-compaction-retention=1h",
		}}
}

func (s State) apiServer() component {
	return component{name: "kube-apiserver", ready: "https://127.0.0.1:6443/readyz", ports: []string{":6443"},
		patience: 30 * time.Second, args: []string{
			"--advertise-address=" + nodeIP, "--secure-port=6443", "--service-cluster-ip-range=" + serviceRange,
			"--tls-cert-file=" + s.pki("kube-apiserver.crt"), "--tls-private-key-file=" + s.pki("kube-apiserver.key"),
			"--client-ca-file=" + s.pki("ca.crt"), "--authorization-mode=Node,RBAC",
			"--enable-admission-plugins=NodeRestriction",
			"--allow-privileged=true", "--enable-aggregator-routing=true",
			"--etcd-servers=https://127.0.0.1:2379", "--etcd-cafile=" + s.pki("ca.crt"),
			"--etcd-certfile=" + s.pki("etcd.crt"), "--etcd-keyfile=" + s.pki("etcd.key"),
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + s.pki("service-account.pub"), "--service-account-signing-key-file=" +
				s.pki("service-account.key"),
			"--kubelet-certificate-authority=" + s.pki("ca.crt"), "--kubelet-client-certificate=" +
				s.pki("apiserver-kubelet-client.crt"),
			"--kubelet-client-key=" + s.pki("apiserver-kubelet-client.key"),
			"--kubelet-preferred-address-types=InternalIP",
			"--requestheader-client-ca-file=" + s.pki("front-proxy-ca.crt"),
			"--requestheader-allowed-names=front-proxy-client",
			"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--proxy-client-cert-file=" + s.pki("front-proxy-client.crt"), "--proxy-client-key-file=" +
				s.pki("front-proxy-client.key"),
		}}
}

func (s State) controllerManager() component {
	config := s.userConfig("kube-controller-manager")
	return component{name: "kube-controller-manager", ready: "https://127.0.0.1:10257/healthz",
		ports:    []string{"127.0.0.1:10257"},
		patience: 10 * time.Second, args: []string{
			"--bind-address=127.0.0.1", "--kubeconfig=" + config, "--authentication-kubeconfig=" + config,
			"--authorization-kubeconfig=" + config,
			"--allocate-node-cidrs=false", "--use-service-account-credentials=true", "--leader-elect=false",
			"--root-ca-file=" + s.pki("ca.crt"), "--service-account-private-key-file=" + s.pki("service-account.key"),
			"--cluster-signing-cert-file=" + s.pki("ca.crt"), "--cluster-signing-key-file=" + s.pki("ca.key"),
			"--cert-dir=" + s.path("run"),
		}}
}

func (s State) scheduler() component {
	config := s.userConfig("kube-scheduler")
	return component{name: "kube-scheduler", ready: "https://127.0.0.1:10259/healthz",
		ports:    []string{"127.0.0.1:10259"},
		patience: 10 * time.Second, args: []string{
			"--bind-address=127.0.0.1", "--kubeconfig=" + config, "--authentication-kubeconfig=" + config,
			"--authorization-kubeconfig=" + config,
			"--leader-elect=false", "--cert-dir=" + s.path("run"),
		}}
}

func (s State) containerd() component {
	return component{name: "containerd", ready: s.containerdSocket(), proxied: true, patience: 20 * time.Second,
		args: []string{"--config", s.config("containerd.toml")}}
}

func (s State) kubelet() component {
	return component{name: "kubelet", ready: "http://127.0.0.1:10248/healthz",
		ports:    []string{nodeIP + ":10250", "127.0.0.1:10248"},
		patience: 20 * time.Second, args: []string{
			"--config=" + s.config("kubelet.yaml"), "--kubeconfig=" + s.userConfig("kubelet"),
			"--root-dir=" + s.kubeletRoot(),
			"--cert-dir=" + s.path("kubelet", "pki"), "--hostname-override=" + nodeName, "--node-ip=" + nodeIP,
		}}
}

func (s State) kubeProxy() component {
	return component{name: "kube-proxy", ready: "http://127.0.0.1:10256/livez", ports: []string{"127.0.0.1:10256"},
		patience: 10 * time.Second, args: []string{"--config=" + s.config("kube-proxy.yaml")}}
}

func (s State) volumeProvisioner() component {
	return component{name: "volume-provisioner", patience: 10 * time.Second,
		args: []string{"--kubeconfig=" + s.userConfig("volume-provisioner"), "--root=" + s.volumes()}}
}
