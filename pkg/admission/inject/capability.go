package inject

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	apiversion "k8s.io/apimachinery/pkg/version"
)

// Image volumes (KEP-4639) need the feature enabled by default in the API server and every kubelet,
// which is so since Kubernetes 1.35 (in 1.33 and 1.34 it depends on a feature gate that cannot be
// seen from outside), and a runtime that mounts them executable.
//
// containerd has them since 2.1 and mounts them without noexec (mutateImageMount, read in 2.2.1).
// CRI-O mounts the image noexec, as KEP-4639 first required, and puts an overlay for the container
// on top (mountImage in server/container_create_linux.go, read in 1.34.0). Whether programs can be
// executed from there has not been tried. A Pod that cannot start is worse than one that starts a
// second later, so CRI-O gets image volumes only if explicitly configured.
var (
	minKubernetes = version.MustParseGeneric("1.35.0")
	minContainerd = version.MustParseGeneric("2.1.0")
)

const (
	// capabilityFor is how long an answer or an error is cached. A new kind of node is noticed only
	// after that; Pods created until then may have to be retried on it.
	capabilityFor = time.Minute
	// capabilityTimeout bounds the lookup, well within the API server's webhook timeout.
	capabilityTimeout = 3 * time.Second
	nodePage          = 500
)

// ServerVersion returns the API server's version; client-go's discovery client implements it.
type ServerVersion interface {
	ServerVersion() (*apiversion.Info, error)
}

// Nodes lists nodes; client-go's typed client implements it.
type Nodes interface {
	List(ctx context.Context, o metav1.ListOptions) (*corev1.NodeList, error)
}

// Capability is the ClusterInfo of a real cluster. It is safe for concurrent use.
type Capability struct {
	version ServerVersion
	nodes   Nodes
	now     func() time.Time

	mu      sync.Mutex // guards the fields below; held during a lookup, so that one caller asks for all
	known   bool
	until   time.Time
	ok      bool
	because string
	err     error
}

// NewCapability returns a ClusterInfo. nodes needs the right to list Nodes and no cache: it is
// called once a minute.
func NewCapability(v ServerVersion, nodes Nodes, now func() time.Time) *Capability {
	return &Capability{version: v, nodes: nodes, now: now}
}

// SupportsImageVolumes caches its answer for a minute.
func (c *Capability) SupportsImageVolumes(ctx context.Context) (ok bool, reason string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known || !c.now().Before(c.until) {
		// The answer is shared, so it must not depend on this caller's deadline.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), capabilityTimeout)
		defer cancel()
		c.ok, c.because, c.err = c.find(ctx)
		c.known, c.until = true, c.now().Add(capabilityFor)
	}
	return c.ok, c.because, c.err
}

func (c *Capability) find(ctx context.Context) (ok bool, because string, err error) {
	info, err := c.version.ServerVersion()
	if err != nil {
		return false, "", fmt.Errorf("ask the API server's version: %w", err)
	}
	if because := tooOld("the API server", "Kubernetes", info.GitVersion, minKubernetes); because != "" {
		return false, because, nil
	}
	return c.findInNodes(ctx)
}

// findInNodes stops at the first node without support.
func (c *Capability) findInNodes(ctx context.Context) (ok bool, because string, err error) {
	seen, next := 0, ""
	for {
		page, err := c.nodes.List(ctx, metav1.ListOptions{Limit: nodePage, Continue: next})
		if err != nil {
			return false, "", fmt.Errorf("list nodes: %w", err)
		}
		for i := range page.Items {
			info := page.Items[i].Status.NodeInfo
			if info.OperatingSystem == windows {
				continue // no injected Pod lands there
			}
			seen++
			if because := unfitNode(page.Items[i].Name, info); because != "" {
				return false, because, nil
			}
		}
		if next = page.Continue; next != "" {
			continue
		}
		if seen == 0 {
			return false, "there are no Linux nodes", nil
		}
		return true, "", nil
	}
}

// unfitNode returns why image volumes cannot be used on a node, or "".
func unfitNode(name string, info corev1.NodeSystemInfo) string {
	where := "node " + name
	if because := tooOld(where, "kubelet", info.KubeletVersion, minKubernetes); because != "" {
		return because
	}
	runtime, v, _ := strings.Cut(info.ContainerRuntimeVersion, "://")
	switch runtime {
	case "containerd":
		return tooOld(where, runtime, v, minContainerd)
	case "cri-o":
		return where + " runs CRI-O, which mounts the images of image volumes noexec"
	default:
		return fmt.Sprintf("%s runs %q, an unknown container runtime", where, runtime)
	}
}

// tooOld compares version numbers and ignores vendors' suffixes.
func tooOld(where, what, have string, atLeast *version.Version) string {
	v, err := version.ParseGeneric(have)
	switch {
	case err != nil:
		return fmt.Sprintf("%s has a %s version that cannot be read: %q", where, what, have)
	case v.LessThan(atLeast):
		return fmt.Sprintf("%s has %s %s; image volumes need %s", where, what, v, atLeast)
	}
	return ""
}
