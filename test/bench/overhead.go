package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/result"
	"github.com/indelible-ci/indelible/test/harness"
)

const (
	// overheadWarmUp is the number of pairs before the measured ones.
	overheadWarmUp = 2
	overheadTarget = 1.02
)

// overheadTask has a result small enough for plain Tekton.
const overheadTask = `
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: NAME, annotations: {indelible.dev/archive: disabled}}
spec:
  taskSpec:
    results: [{name: text}]
    steps:
`

// overhead measures what Indelible costs a TaskRun with a small result, from its creation until a
// watch shows its end: in an opted-in namespace and in another alternately, one run at a time.
func (b *bench) overhead(ctx context.Context) ([]row, error) {
	injected := b.namespace + "-injected"
	if err := b.cluster.CreateNamespace(ctx, injected,
		map[string]string{result.EnabledKey: result.Enabled}); err != nil {
		return nil, err
	}
	defer func() { _ = b.cluster.DeleteNamespace(context.WithoutCancel(ctx), injected) }()
	var rows []row
	for _, steps := range []int{1, 3} {
		note("%d pairs of TaskRuns of %d steps, plain and injected", b.pairs+overheadWarmUp, steps)
		plain, with, err := b.takeTurns(ctx, steps, b.namespace, injected)
		if err != nil {
			return rows, err
		}
		rows = append(rows, compared(steps, plain, with)...)
	}
	return rows, nil
}

// takeTurns runs a TaskRun in both namespaces. The order alternates from pair to pair, so that
// after-effects of the first burden both equally.
func (b *bench) takeTurns(
	ctx context.Context, steps int, plain, injected string,
) (without, with []time.Duration, err error) {
	text := overheadTask
	for i := range steps {
		text += fmt.Sprintf("    - {name: s%d, image: IMAGE, script: \"printf %d > $(results.text.path)\"}\n", i, i)
	}
	took := map[string][]time.Duration{}
	for i := range b.pairs + overheadWarmUp {
		order := []string{plain, injected}
		if i%2 == 1 {
			order[0], order[1] = order[1], order[0]
		}
		for _, namespace := range order {
			name := fmt.Sprintf("overhead-%d-%d", steps, i)
			d, err := b.timed(ctx, namespace, name, strings.Replace(text, "NAME", name, 1), namespace == injected)
			if err != nil {
				return nil, nil, err
			}
			if i >= overheadWarmUp {
				took[namespace] = append(took[namespace], d)
			}
		}
	}
	return took[plain], took[injected], nil
}

// timed creates a TaskRun, waits for its end and deletes it. It fails if the pod is not injected,
// or injected, as expected.
func (b *bench) timed(ctx context.Context, namespace, name, text string, injected bool) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := time.Now()
	if err := b.cluster.Create(ctx, namespace, harness.WithImage(text)); err != nil {
		return 0, err
	}
	tr, err := b.cluster.WaitTaskRun(ctx, namespace, name, harness.TaskRunDone)
	took := time.Since(start)
	if err != nil {
		return 0, err
	}
	pod, err := b.cluster.Kube.CoreV1().Pods(namespace).Get(ctx, tr.Status.PodName, metav1.GetOptions{})
	if err != nil {
		return 0, err
	}
	if has := pod.Annotations[result.InjectedAnnotation] != ""; has != injected || len(tr.Status.Results) != 1 {
		return 0, fmt.Errorf("TaskRun %s/%s has a publisher: %v, and %d results; want %v and 1", namespace, name, has,
			len(tr.Status.Results), injected)
	}
	uid := tr.UID
	return took, b.cluster.Tekton.TektonV1().TaskRuns(namespace).Delete(ctx, name,
		metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
}

func compared(steps int, plain, with []time.Duration) []row {
	// The kubelet looks for ended containers once a second, so times and their median come in steps
	// of a second. The mean shows differences below that.
	ratio := float64(quantile(with, .5)) / float64(quantile(plain, .5))
	what := fmt.Sprintf("TaskRun of %d steps with one small result, created → seen done (%d each, by turns)", steps,
		len(plain))
	return []row{
		says(what+", plain: p50, p10 to p90", "%s", spread(plain)),
		says("the same, injected", "%s", spread(with)),
		{what: "the same, injected by plain, of the medians", measured: fmt.Sprintf("%.3f", ratio),
			target: fmt.Sprintf("≤ %.2f", overheadTarget), met: ratio <= overheadTarget},
		says("the same, of the means", "%.3f", float64(mean(with))/float64(mean(plain))),
		says("the same, what a pair differs by: p50, p25 to p75", "%s", differing(plain, with)),
	}
}

func spread(all []time.Duration) string {
	return fmt.Sprintf("%.0f ms, %.0f to %.0f ms", ms(quantile(all, .5)), ms(quantile(all, .1)), ms(quantile(all, .9)))
}

func mean(all []time.Duration) time.Duration {
	var sum time.Duration
	for _, d := range all {
		sum += d
	}
	return sum / time.Duration(len(all))
}

// differing compares within pairs, whose two runs the machine's other work affects alike.
func differing(plain, with []time.Duration) string {
	var all []time.Duration
	for i := range plain {
		all = append(all, with[i]-plain[i])
	}
	return fmt.Sprintf("%.0f ms, %.0f to %.0f ms", ms(quantile(all, .5)), ms(quantile(all, .25)),
		ms(quantile(all, .75)))
}
