package harness

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Cluster is a connection to a cluster with the rights of its kubeconfig.
type Cluster struct {
	// Config is the connection itself; it has no client-side rate limit.
	Config *rest.Config
	Kube   kubernetes.Interface
	Tekton versioned.Interface

	kubeconfig, kubectl string
}

// Connect connects as the KUBECONFIG environment variable says. KUBECTL names the kubectl to run,
// by default the one on the PATH.
func Connect() (*Cluster, error) {
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		return nil, fmt.Errorf(
			"connecting to a cluster: KUBECONFIG is not set; `make cluster-up` starts a local cluster " +
				"and says what to set")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("reading kubeconfig %s: %w", path, err)
	}
	config.QPS = -1
	c := &Cluster{Config: config, kubeconfig: path, kubectl: "kubectl"}
	if k := os.Getenv("KUBECTL"); k != "" {
		c.kubectl = k
	}
	return c, c.connect()
}

// As returns the same cluster seen by another user, by impersonation.
func (c *Cluster) As(user string, groups ...string) (*Cluster, error) {
	return c.Impersonate(rest.ImpersonationConfig{UserName: user, Groups: groups})
}

// Impersonate is As with all that can be said of a user.
func (c *Cluster) Impersonate(user rest.ImpersonationConfig) (*Cluster, error) {
	config := rest.CopyConfig(c.Config)
	config.Impersonate = user
	as := &Cluster{Config: config, kubeconfig: c.kubeconfig, kubectl: c.kubectl}
	return as, as.connect()
}

// WithToken returns the same cluster seen by the holder of a bearer token, and of nothing else.
func (c *Cluster) WithToken(token string) (*Cluster, error) {
	config := rest.AnonymousClientConfig(c.Config)
	config.QPS = -1
	config.BearerToken = token
	as := &Cluster{Config: config, kubeconfig: c.kubeconfig, kubectl: c.kubectl}
	return as, as.connect()
}

func (c *Cluster) connect() error {
	var err error
	if c.Kube, err = kubernetes.NewForConfig(c.Config); err != nil {
		return fmt.Errorf("making a Kubernetes client: %w", err)
	}
	if c.Tekton, err = versioned.NewForConfig(c.Config); err != nil {
		return fmt.Errorf("making a Tekton client: %w", err)
	}
	return nil
}

// Kubectl runs kubectl with the cluster's kubeconfig and returns its standard output.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := c.KubectlCommand(ctx, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("running kubectl %s: %w: %s", strings.Join(args, " "), err,
			strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

// KubectlCommand returns kubectl with the cluster's kubeconfig, not started yet. It ends with ctx.
func (c *Cluster) KubectlCommand(ctx context.Context, args ...string) *exec.Cmd {
	words := append(strings.Fields(c.kubectl), args...)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	return cmd
}
