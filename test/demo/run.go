package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/indelible-ci/indelible/pkg/result"
	"github.com/indelible-ci/indelible/test/harness"
)

const (
	namespace   = "indelible-demo"
	pipelineRun = "large-results"
)

// row is one line of a table of results.
const row = "  %-13s %-10s %-7s %9s  %s\n"

//go:embed pipeline.yaml
var pipeline string

// want holds what the Pipeline must have passed on, worked out here and not read from the cluster.
var want = map[string]*pipelinev1.ResultValue{
	"changelog": pipelinev1.NewStructuredValues(harness.Sample(80_000)),
	"packages":  pipelinev1.NewStructuredValues("core", "cli", "docs"),
	"image":     pipelinev1.NewObject(map[string]string{"url": "example.test/app", "tag": "v1.2.3"}),
	"digest": pipelinev1.NewStructuredValues(
		"sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"),
	"sbom": pipelinev1.NewStructuredValues(harness.Sample(1_000_000)),
	"seen": pipelinev1.NewStructuredValues("example.test/app:v1.2.3 changelog=80000 packages=3 " +
		"digest=sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"),
}

func run(ctx context.Context, out io.Writer) error {
	cluster, err := harness.Connect()
	if err != nil {
		return err
	}
	if err := startAfresh(ctx, cluster); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nRunning the Pipeline %s of plain Tasks in namespace %s …\n", pipelineRun, namespace)
	pr, err := cluster.WaitPipelineRun(ctx, namespace, pipelineRun, harness.PipelineRunDone)
	if err != nil {
		return err
	}
	if c := pr.Status.GetCondition(apis.ConditionSucceeded); !c.IsTrue() {
		return fmt.Errorf("the PipelineRun failed: %s: %s", c.GetReason(), c.GetMessage())
	}
	if err := report(ctx, out, cluster, pr); err != nil {
		return err
	}
	if err := forge(ctx, out, cluster); err != nil {
		return err
	}
	if err := readBack(ctx, out, cluster); err != nil {
		return err
	}
	if err := query(ctx, out, cluster); err != nil {
		return err
	}
	return further(ctx, out, cluster)
}

// startAfresh removes what an earlier demo left and starts the PipelineRun.
func startAfresh(ctx context.Context, cluster *harness.Cluster) error {
	if err := cluster.CreateNamespace(ctx, namespace,
		map[string]string{result.EnabledKey: result.Enabled}); err != nil {
		return err
	}
	foreground := metav1.DeletePropagationForeground
	err := cluster.Tekton.TektonV1().PipelineRuns(namespace).Delete(ctx, pipelineRun,
		metav1.DeleteOptions{PropagationPolicy: &foreground})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("removing the PipelineRun of an earlier demo: %w", err)
	}
	if err := cluster.WaitGone(ctx, namespace, pipelineRun); err != nil {
		return err
	}
	return cluster.Create(ctx, namespace, harness.WithImage(pipeline))
}

// report prints each result, and fails when one differs from what the Tasks wrote.
func report(ctx context.Context, out io.Writer, cluster *harness.Cluster, pr *pipelinev1.PipelineRun) error {
	fmt.Fprintf(out,
		"\nSucceeded in %.1f s. What Tekton holds now, compared byte for byte with what the Tasks wrote:\n\n",
		pr.Status.CompletionTime.Sub(pr.Status.StartTime.Time).Seconds())
	fmt.Fprintf(out, row, "FROM", "RESULT", "TYPE", "BYTES", "")
	var took []string
	for _, task := range []string{"build", "release"} {
		tr, err := cluster.TaskRun(ctx, namespace, pipelineRun+"-"+task)
		if err != nil {
			return fmt.Errorf("reading the TaskRun of Task %s: %w", task, err)
		}
		took = append(took, fmt.Sprintf("Task %s %.0f s", task,
			tr.Status.CompletionTime.Sub(tr.Status.StartTime.Time).Seconds()))
		for _, r := range tr.Status.Results {
			if err := reportOne(out, "Task "+task, r.Name, string(r.Type), r.Value); err != nil {
				return err
			}
		}
	}
	for _, r := range pr.Status.Results {
		if err := reportOne(out, "Pipeline", r.Name, string(r.Value.Type), r.Value); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "\nFrom creation to completion: %s.\n", strings.Join(took, ", "))
	fmt.Fprintf(out, "Tekton alone fails a step at 4096 bytes for all its results together. The Task release used "+
		"the\nchangelog in its script, the packages as arguments, the image's fields and the digest as parameters.\n")
	return nil
}

func reportOne(out io.Writer, from, name, kind string, value pipelinev1.ResultValue) error {
	got, err := value.MarshalJSON()
	if err != nil {
		return fmt.Errorf("encoding result %s: %w", name, err)
	}
	expected, ok := want[name]
	if !ok {
		return fmt.Errorf("%s has a result %s that no Task wrote", from, name)
	}
	wanted, err := expected.MarshalJSON()
	if err != nil {
		return fmt.Errorf("encoding the expected result %s: %w", name, err)
	}
	if string(got) != string(wanted) {
		return fmt.Errorf("result %s of %s differs from what the Task wrote: %d bytes of JSON, want %d", name, from,
			len(got),
			len(wanted))
	}
	size := len(value.StringVal)
	if value.Type != pipelinev1.ParamTypeString {
		size = len(got)
	}
	fmt.Fprintf(out, row, from, name, kind, fmt.Sprint(size), "identical")
	return nil
}

// forge takes the token of another pod of the same namespace and service account, and tries to use
// it.
func forge(ctx context.Context, out io.Writer, cluster *harness.Cluster) error {
	pods := cluster.Kube.CoreV1().Pods(namespace)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "forger"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "sh", Image: harness.Image(), ImagePullPolicy: corev1.PullIfNotPresent,
			Command: []string{"sleep", "300"},
		}}},
	}
	if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating the forger's pod: %w", err)
	}
	now := int64(0)
	defer func() {
		_ = pods.Delete(context.WithoutCancel(ctx), "forger", metav1.DeleteOptions{GracePeriodSeconds: &now})
	}()
	if _, err := cluster.WaitPod(ctx, namespace, "forger",
		func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning }); err != nil {
		return err
	}
	token, err := cluster.Kubectl(ctx, "exec", "-n", namespace, "forger", "--", "cat",
		"/var/run/secrets/kubernetes.io/serviceaccount/token")
	if err != nil {
		return err
	}
	forger, err := cluster.WithToken(token)
	if err != nil {
		return err
	}
	victim, err := cluster.TaskRun(ctx, namespace, pipelineRun+"-build")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nAnother pod, same namespace, same service account, tries to replace the digest:\n")
	began := time.Now()
	err = forger.PutSparse(namespace, victim.Name, victim.UID,
		`{"results":[{"name":"digest","value":"sha256:forged"}]}`).Do(ctx).Error()
	if err == nil {
		return fmt.Errorf("the forged result was accepted: this installation does not protect results")
	}
	if !apierrors.IsForbidden(err) {
		return fmt.Errorf("the forged result was refused, but not as forbidden: %w", err)
	}
	fmt.Fprintf(out, "\n  HTTP 403 after %d ms: %s\n", time.Since(began).Milliseconds(), err)
	return nil
}

// further prints the guard's own account and where to look next.
func further(ctx context.Context, out io.Writer, cluster *harness.Cluster) error {
	decisions, err := cluster.WebhookMetrics(ctx, "indelible_guard_decisions_total", "indelible_inject_pods_total",
		"indelible_guard_results_restored_total", "indelible_protect_runs_total")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nWhat the webhook replicas counted since they started:\n\n")
	for _, line := range decisions {
		fmt.Fprintf(out, "  %s\n", line)
	}
	fmt.Fprintf(out, `
Look further:
  export KUBECONFIG=%s
  kubectl get taskruns,pipelineruns -n %s
  kubectl get pod -n %s %s-build-pod -o yaml      # what was injected
  kubectl logs -n indelible-system deployment/indelible-webhook  # the denial above, one line
  kubectl exec -n indelible-system deployment/indelible-archiver -- /archiver get --kind PipelineRun %s/%s
Remove it all:
  kubectl delete namespace %s
  make uninstall       # Indelible, but for the archive
  make cluster-down    # the local cluster, if the demo started it
`, os.Getenv("KUBECONFIG"), namespace, namespace, pipelineRun, namespace, pipelineRun, namespace)
	return nil
}
