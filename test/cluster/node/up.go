package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Programs are the folders of the builds the node runs.
type Programs struct {
	// Kube has the program kube, which is every Kubernetes component by another name.
	Kube string
	// Containerd has containerd, ctr and containerd-shim-runc-v2.
	Containerd string
}

// kubeNames are the names under which kube is linked.
var kubeNames = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy",
	"kubectl",
	"volume-provisioner"}

// Up starts what does not run, in order, waiting for each. images are archives that are loaded as
// soon as containerd runs. Running it again repairs what died and otherwise changes nothing.
func (s State) Up(ctx context.Context, programs Programs, images []string, log func(string, ...any)) error {
	s.adopt()
	if err := s.prepare(ctx, programs); err != nil {
		return err
	}
	client, err := s.httpClient()
	if err != nil {
		return err
	}
	for _, c := range s.components() {
		if s.running(c.name) == 0 {
			log("starting %s", c.name)
			if err := c.portsFree(); err != nil {
				return err
			}
			if err := s.start(c); err != nil {
				return err
			}
		}
		if err := s.waitReady(ctx, client, c); err != nil {
			return err
		}
		if c.name == "containerd" {
			if err := s.Load(ctx, images, log); err != nil {
				return err
			}
		}
	}
	return s.waitNode(ctx)
}

func (s State) prepare(ctx context.Context, programs Programs) error {
	for _, dir := range []string{s.path("bin"), s.path("pids"), s.path("run"), s.path("config"), s.podLogs(),
		s.volumes()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := s.link(programs); err != nil {
		return err
	}
	if err := s.makePKI(time.Now()); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	if err := s.writeConfig(); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if err := s.saveSettings(settings); err != nil {
		return fmt.Errorf("set the kernel's settings: %w", err)
	}
	if err := makeNetwork(ctx); err != nil {
		return fmt.Errorf("make the network: %w", err)
	}
	return nil
}

// link puts the programs into the state folder, under the names of the components.
func (s State) link(programs Programs) error {
	targets := map[string]string{}
	for _, name := range kubeNames {
		targets[name] = filepath.Join(programs.Kube, "kube")
	}
	for _, name := range []string{"containerd", "ctr", "containerd-shim-runc-v2"} {
		targets[name] = filepath.Join(programs.Containerd, name)
	}
	for name, target := range targets {
		if now, err := os.Readlink(s.bin(name)); err == nil && now == target {
			continue
		}
		if err := os.Remove(s.bin(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Symlink(target, s.bin(name)); err != nil {
			return err
		}
	}
	return nil
}

// httpClient trusts the cluster's authority and is the administrator. Controller manager and
// scheduler make their own serving certificates; they are asked on the loopback interface for their
// health only.
func (s State) httpClient() (*http.Client, error) {
	pair, err := tls.LoadX509KeyPair(s.pki("admin.crt"), s.pki("admin.key"))
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(s.pki("ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	config := &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, MinVersion: tls.VersionTLS12}
	return &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{TLSClientConfig: config}}, nil
}

// waitReady waits for a component; one that ends while it is awaited ends the wait.
func (s State) waitReady(ctx context.Context, client *http.Client, c component) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		err := probe(ctx, client, c.ready)
		if err == nil {
			return nil
		}
		if s.running(c.name) == 0 {
			return fmt.Errorf("%s ended; the end of %s:\n%s", c.name, s.log(c.name), lastLines(s.log(c.name), 15))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s: %w; see %s", c.name, readyWithin, err, s.log(c.name))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func probe(ctx context.Context, client *http.Client, ready string) error {
	if ready == "" {
		return nil
	}
	if strings.HasPrefix(ready, "/") {
		connection, err := net.Dial("unix", ready)
		if err != nil {
			return err
		}
		return connection.Close()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, ready, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		var unknown x509.UnknownAuthorityError
		if errors.As(err, &unknown) {
			// It answers, with a certificate it made for itself.
			return nil
		}
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", ready, response.Status)
	}
	return nil
}

func lastLines(path string, count int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}

// storageClass is the default of the cluster; see kube/provisioner.go.
const storageClass = `apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: indelible.dev/host-path
reclaimPolicy: Delete
volumeBindingMode: Immediate
`

// waitNode waits until pods can start: the node is ready, and the service account that they run as
// exists.
func (s State) waitNode(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for _, wait := range [][]string{
		{"wait", "--for=create", "node/" + nodeName, "--timeout=60s"},
		{"wait", "--for=condition=Ready", "node/" + nodeName, "--timeout=60s"},
		{"wait", "--for=create", "serviceaccount/default", "--namespace=default", "--timeout=60s"},
	} {
		if _, err := s.RunKubectl(ctx, "", wait...); err != nil {
			return fmt.Errorf("wait for the node: %w; see %s", err, s.log("kubelet"))
		}
	}
	_, err := s.RunKubectl(ctx, storageClass, "apply", "--server-side", "-f", "-")
	return err
}
