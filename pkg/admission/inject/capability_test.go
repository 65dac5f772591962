package inject

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiversion "k8s.io/apimachinery/pkg/version"
)

// cluster answers as an API server would, two nodes a page.
type cluster struct {
	version string
	nodes   []corev1.Node
	err     error
	lists   int
}

func (c *cluster) ServerVersion() (*apiversion.Info, error) {
	if c.version == "" {
		return nil, errors.New("refused")
	}
	return &apiversion.Info{GitVersion: c.version}, nil
}

func (c *cluster) List(_ context.Context, o metav1.ListOptions) (*corev1.NodeList, error) {
	c.lists++
	if c.err != nil {
		return nil, c.err
	}
	var from int
	if o.Continue != "" {
		if _, err := fmt.Sscan(o.Continue, &from); err != nil {
			return nil, err
		}
	}
	out := &corev1.NodeList{}
	to := min(from+2, len(c.nodes))
	out.Items = c.nodes[from:to]
	if to < len(c.nodes) {
		out.Continue = fmt.Sprint(to)
	}
	return out, nil
}

func node(name, kubelet, runtime string) corev1.Node {
	return corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name},
		Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{
			KubeletVersion: kubelet, ContainerRuntimeVersion: runtime, OperatingSystem: "linux",
		}}}
}

func windowsNode(name string) corev1.Node {
	n := node(name, "v1.30.0", "containerd://1.6.0")
	n.Status.NodeInfo.OperatingSystem = "windows"
	return n
}

func TestSupportsImageVolumes(t *testing.T) {
	fit := node("a", "v1.36.3", "containerd://2.2.1")
	tests := map[string]struct {
		version string
		nodes   []corev1.Node
		because string // "" if supported
	}{
		"allow containerd on a recent cluster": {"v1.36.3", []corev1.Node{fit}, ""},
		"allow the oldest that has it": {"v1.35.0", []corev1.Node{node("a", "v1.35.0", "containerd://2.1.0")},
			""},
		"allow what vendors put behind a version": {"v1.35.1-gke.100", []corev1.Node{node("a", "v1.35.1-eks-abc",
			"containerd://2.1.4-0ubuntu1~24.04")}, ""},
		"allow Windows nodes beside Linux ones": {"v1.36.3", []corev1.Node{windowsNode("w"), fit}, ""},
		"forbid the version before": {"v1.34.9", []corev1.Node{fit},
			"the API server has Kubernetes 1.34.9; image volumes need 1.35.0"},
		"forbid a version that is none": {"main", []corev1.Node{fit},
			"the API server has a Kubernetes version that cannot be read"},
		"forbid an older kubelet on one node": {"v1.36.3", []corev1.Node{fit, node("b", "v1.33.2",
			"containerd://2.2.1")}, "node b has kubelet 1.33.2; image volumes need 1.35.0"},
		"forbid an older containerd on the last page": {"v1.36.3",
			[]corev1.Node{fit, fit, fit, fit, node("e", "v1.36.3",
				"containerd://1.7.28")}, "node e has containerd 1.7.28; image volumes need 2.1.0"},
		"forbid CRI-O": {"v1.36.3", []corev1.Node{node("a", "v1.36.3", "cri-o://1.36.0")},
			"node a runs CRI-O, which mounts the images of image volumes noexec"},
		"forbid an unknown runtime": {"v1.36.3", []corev1.Node{node("a", "v1.36.3", "docker://27.0.0")},
			`node a runs "docker", an unknown container runtime`},
		"forbid a node that has not said its runtime": {
			"v1.36.3", []corev1.Node{node("a", "v1.36.3", "")}, `node a runs ""`,
		},
		"forbid no nodes":           {"v1.36.3", nil, "there are no Linux nodes"},
		"forbid Windows nodes only": {"v1.36.3", []corev1.Node{windowsNode("w")}, "there are no Linux nodes"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := &cluster{version: tc.version, nodes: tc.nodes}
			ok, because, err := NewCapability(c, c, time.Now).SupportsImageVolumes(t.Context())
			if err != nil || ok != (tc.because == "") || !strings.Contains(because, tc.because) {
				t.Errorf("got %v, %q, %v, want %q", ok, because, err, tc.because)
			}
		})
	}
}

func TestCapabilityIsKeptForAMinute(t *testing.T) {
	clock := time.Unix(1000, 0)
	c := &cluster{version: "v1.36.3", nodes: []corev1.Node{node("a", "v1.36.3", "containerd://2.2.1")}}
	capability := NewCapability(c, c, func() time.Time { return clock })
	steps := []struct {
		name   string
		change func()
		ok     bool
		err    string
		lists  int
	}{
		{"asks at first", func() {}, true, "", 1},
		{"remembers", func() { clock = clock.Add(59 * time.Second); c.nodes = nil }, true, "", 1},
		{"asks again after a minute", func() { clock = clock.Add(time.Second) }, false, "", 2},
		{"reports what it cannot find out",
			func() { clock = clock.Add(time.Minute); c.err = errors.New("forbidden") }, false,
			"list nodes: forbidden", 3},
		{"remembers that too", func() { c.err = nil }, false, "list nodes: forbidden", 3},
		{"reports a version it cannot get", func() { clock = clock.Add(time.Minute); c.version = "" }, false,
			"ask the API server's version: refused", 3},
	}
	for _, s := range steps {
		s.change()
		ok, _, err := capability.SupportsImageVolumes(t.Context())
		if got := fmt.Sprint(err); ok != s.ok || (s.err != "" || err != nil) && got != s.err || c.lists != s.lists {
			t.Errorf("%s: %v, %v, %d lists; want %v, %q, %d", s.name, ok, err, c.lists, s.ok, s.err, s.lists)
		}
	}
}
