//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

func limitRange(limits string) string {
	return `
apiVersion: v1
kind: LimitRange
metadata: {name: limits}
spec: {limits: [{type: Container, ` + limits + `}]}
`
}

// TestInitContainerDelivery delivers the publisher by an init container, in namespaces that
// restrict containers. Whatever they accept from Tekton's own pods they must accept from ours: each
// TaskRun also runs plain.
func TestInitContainerDelivery(t *testing.T) {
	configure(newPlace(t), "delivery", "init-container")
	for _, c := range []struct {
		name, namespace string
		class           corev1.PodQOSClass
	}{
		{"a namespace that demands nothing", "", corev1.PodQOSBestEffort},
		{"a LimitRange whose minimum is above what the installer would choose",
			limitRange(`min: {cpu: 200m, memory: 128Mi}`),
			corev1.PodQOSBurstable},
		{"a LimitRange whose maximum is below",
			limitRange(`min: {cpu: 10m, memory: 16Mi}, max: {cpu: 60m, memory: 48Mi}`),
			corev1.PodQOSGuaranteed},
		{"a LimitRange with a ratio and defaults",
			limitRange(`default: {cpu: 120m, memory: 64Mi}, defaultRequest: {cpu: 60m, memory: 32Mi}, maxLimitRequestRatio: {cpu: 2, memory: 2}`), corev1.PodQOSBurstable},
		{"a LimitRange whose defaults make a pod guaranteed",
			limitRange(`default: {cpu: 80m, memory: 96Mi}, defaultRequest: {cpu: 80m, memory: 96Mi}`),
			corev1.PodQOSGuaranteed},
		{"a quota that demands requests and limits, and has room for the step alone", limitRange(`default: {cpu: 90m, memory: 48Mi}, defaultRequest: {cpu: 50m, memory: 40Mi}`) + `
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: quota}
spec: {hard: {requests.cpu: 50m, limits.cpu: 90m, requests.memory: 40Mi, limits.memory: 48Mi}}
`, corev1.PodQOSBurstable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			if c.namespace != "" {
				file := filepath.Join(t.TempDir(), "demands.yaml")
				if err := os.WriteFile(file, []byte(c.namespace), 0o600); err != nil {
					t.Fatal(err)
				}
				p.kubectl("apply", "-n", p.namespace, "-f", file)
			}
			p.create(taskRunOf(`- {name: text}`, writeSample(100_000, "text")))
			tr := p.taskRun("run")
			taskRunSucceeded(t, tr)
			wantResults(t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text(sample(100_000))})
			injected := p.pod(tr.Status.PodName)
			if got := injected.Annotations[result.InjectedAnnotation]; got != "init-container" {
				t.Errorf("the publisher came by %q, want init-container", got)
			}

			p.create(strings.Replace(strings.Replace(taskRunOf(`- {name: text}`, writeSample(1_000, "text")),
				"{name: run}",
				"{name: plain}", 1),
				"metadata: {name: plain}",
				"metadata: {name: plain, annotations: {indelible.dev/results: disabled}}", 1))
			tr = p.taskRun("plain")
			taskRunSucceeded(t, tr)
			if plain := p.pod(tr.Status.PodName).Status.QOSClass; injected.Status.QOSClass != plain ||
				plain != c.class {
				t.Errorf("the pod is %s, without the publisher %s, want %s", injected.Status.QOSClass, plain, c.class)
			}
		})
	}
}
