package inject

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"
	apiversion "k8s.io/apimachinery/pkg/version"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What a cluster needs for image volumes (KEP-4639): the feature on by default in the API server and in every
// kubelet, which is so since Kubernetes 1.35 (in 1.33 and 1.34 it is behind a gate nobody outside can see), and a
// runtime that mounts them executable.
//
// containerd has image volumes since 2.1 and mounts them without noexec (mutateImageMount, read in 2.2.1). CRI-O
// mounts the image noexec, as KEP-4639 first asked for, and gives the container an overlay on top of that mount
// (mountImage in server/container_create_linux.go, read in 1.34.0). Whether a program runs from there has not been
// tried, and a Pod that cannot start is worse than one that starts a second later, so with CRI-O only an explicit
// setting uses image volumes.
var (
	minKubernetes = version.MustParseGeneric("1.35.0")
	minContainerd = version.MustParseGeneric("2.1.0")
)

const (
	// capabilityFor is how long an answer, or the failure to get one, is kept. A node of another kind that joins is
	// noticed after that; the Pods created until then may have to be retried on it.
	capabilityFor = time.Minute
	// capabilityTimeout bounds finding out, well within the time the API server waits for a webhook.
	capabilityTimeout = 3 * time.Second
	nodePage          = 500
)

// ServerVersion tells the API server's version; client-go's discovery client does.
type ServerVersion interface {
	ServerVersion() (*apiversion.Info, error)
}

// Capability is the ClusterInfo of a real cluster. It is safe for concurrent use.
type Capability struct {
	version ServerVersion
	nodes   client.Reader
	now     func() time.Time

	mu      sync.Mutex // guards what follows; held while finding out, so that one caller asks for all
	known   bool
	until   time.Time
	ok      bool
	because string
	err     error
}

// NewCapability returns a ClusterInfo. nodes needs the right to list Nodes; a reader without a cache is enough,
// since it is asked once a minute, and spares the memory of one.
func NewCapability(v ServerVersion, nodes client.Reader, now func() time.Time) *Capability {
	return &Capability{version: v, nodes: nodes, now: now}
}

// SupportsImageVolumes answers from memory for a minute, then asks again.
func (c *Capability) SupportsImageVolumes(ctx context.Context) (ok bool, reason string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known || !c.now().Before(c.until) {
		// The answer is for all, so it must not hang on the patience of the one who happened to ask.
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

// findInNodes stops at the first node that cannot.
func (c *Capability) findInNodes(ctx context.Context) (ok bool, because string, err error) {
	seen, next := 0, ""
	for {
		page := &corev1.NodeList{}
		if err := c.nodes.List(ctx, page, client.Limit(nodePage), client.Continue(next)); err != nil {
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
			return false, "there are no Linux nodes to judge by", nil
		}
		return true, "", nil
	}
}

// unfitNode says why image volumes cannot be used on a node, or "".
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
		return fmt.Sprintf("%s runs %q, of which nothing is known here", where, runtime)
	}
}

// tooOld compares the numbers of a version and ignores what vendors put behind them.
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
