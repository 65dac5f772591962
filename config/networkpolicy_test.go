package manifests_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

const networkPolicies = "components/network-policy/"

// Each policy is about one Deployment's pods, and the ports it names are ports of theirs.
func TestNetworkPoliciesFitThePods(t *testing.T) {
	for policyFile, deploymentFile := range map[string]string{
		"webhook.yaml":  "server/20-deployment.yaml",
		"archiver.yaml": "archive/50-deployment.yaml",
		"api.yaml":      "components/api/deployment.yaml",
	} {
		t.Run(policyFile, func(t *testing.T) {
			var policy networkingv1.NetworkPolicy
			var deployment appsv1.Deployment
			read(t, networkPolicies+policyFile, &policy)
			read(t, deploymentFile, &deployment)
			pod := deployment.Spec.Template
			selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
			if err != nil || selector.Empty() || !selector.Matches(labels.Set(pod.Labels)) ||
				policy.Namespace != deployment.Namespace {
				t.Errorf("selects %s in %s (error %v), the pods have %v in %s", selector, policy.Namespace, err,
					pod.Labels,
					deployment.Namespace)
			}
			for _, rule := range policy.Spec.Ingress {
				for _, port := range rule.Ports {
					if !slices.ContainsFunc(pod.Spec.Containers[0].Ports,
						func(p corev1.ContainerPort) bool { return p.Name == port.Port.StrVal }) {
						t.Errorf("lets in to port %s, which the pods do not have", port.Port)
					}
				}
				if len(rule.From) == 0 || len(rule.Ports) == 0 {
					t.Error("a rule lets in from everywhere, or to every port")
				}
			}
			for _, rule := range policy.Spec.Egress {
				if len(rule.To) == 0 || len(rule.Ports) == 0 {
					t.Error("a rule lets out to everywhere, or to every port")
				}
			}
		})
	}
}

// What the comment in kustomization.yaml says an overlay is, is rendered, and has its addresses in
// the policy.
func TestNetworkPoliciesAsTheCommentSays(t *testing.T) {
	kubectl := findKubectl(t)
	_, comment, _ := strings.Cut(read(t, networkPolicies+"kustomization.yaml", nil), "#   sortOptions")
	example, _, _ := strings.Cut("sortOptions"+comment, "#\n# docs/")
	example = strings.ReplaceAll(strings.ReplaceAll(example, "\n#   ", "\n"), "\n#\n", "\n")
	// kustomize knows only folders below or beside its own, by relative paths.
	dir, err := os.MkdirTemp(".", "overlay-of-a-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	text := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n" +
		strings.ReplaceAll(example, "<here>/config", "..")
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(context.Background(), kubectl[0],
		append(kubectl[1:], "kustomize", dir)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, text, out)
	}
	found := false
	for _, doc := range strings.Split(string(out), "\n---\n") {
		var policy networkingv1.NetworkPolicy
		if err := yaml.Unmarshal([]byte(doc), &policy); err != nil || policy.Kind != "NetworkPolicy" ||
			policy.Name != "indelible-webhook" {
			continue
		}
		found = true
		if from, to := policy.Spec.Ingress[0].From, policy.Spec.Egress[0].To; len(from) != 2 || len(to) != 2 ||
			from[1].IPBlock.CIDR != "10.0.0.12/32" {
			t.Errorf("lets in from %v, and out to %v", from, to)
		}
	}
	if !found {
		t.Error("the policy is not rendered")
	}
}

// findKubectl finds kubectl, or the local cluster's tool, which is one.
func findKubectl(t *testing.T) []string {
	t.Helper()
	if path, err := exec.LookPath("kubectl"); err == nil {
		return []string{path}
	}
	cache := os.Getenv("INDELIBLE_CACHE")
	if home, err := os.UserHomeDir(); cache == "" && err == nil {
		cache = filepath.Join(home, ".cache", "indelible")
	}
	tool := filepath.Join(cache, "bin", "cluster")
	if _, err := os.Stat(tool); err != nil {
		t.Skip("there is no kubectl, which renders it")
	}
	return []string{tool, "kubectl"}
}
