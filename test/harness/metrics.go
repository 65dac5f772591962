package harness

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WebhookMetrics adds up metrics of all webhook replicas and returns them as lines of the
// Prometheus text format, sorted. Names select metrics by prefix; samples that are zero everywhere
// are left out.
func (c *Cluster) WebhookMetrics(ctx context.Context, names ...string) ([]string, error) {
	replicas, err := c.ReplicaMetrics(ctx, names...)
	if err != nil {
		return nil, err
	}
	sums := map[string]float64{}
	for _, samples := range replicas {
		for sample, value := range samples {
			sums[sample] += value
		}
	}
	var lines []string
	for sample, value := range sums {
		if value != 0 {
			lines = append(lines, sample+" "+strconv.FormatFloat(value, 'f', -1, 64))
		}
	}
	sort.Strings(lines)
	return lines, nil
}

// ReplicaMetrics returns metrics of each webhook replica, by the name of its pod and by sample.
// Names select metrics by prefix.
func (c *Cluster) ReplicaMetrics(ctx context.Context, names ...string) (map[string]map[string]float64, error) {
	const namespace = "indelible-system"
	pods, err := c.Kube.CoreV1().Pods(namespace).List(ctx,
		metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=indelible-webhook"})
	if err != nil {
		return nil, fmt.Errorf("listing webhook replicas: %w", err)
	}
	replicas := map[string]map[string]float64{}
	for _, pod := range pods.Items {
		text, err := c.Kube.CoreV1().RESTClient().Get().Namespace(namespace).Resource("pods").
			Name(pod.Name + ":8080").SubResource("proxy").Suffix("metrics").DoRaw(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading metrics of %s: %w", pod.Name, err)
		}
		replicas[pod.Name] = map[string]float64{}
		addSamples(replicas[pod.Name], string(text), names)
	}
	return replicas, nil
}

func addSamples(sums map[string]float64, text string, names []string) {
	for _, line := range strings.Split(text, "\n") {
		for _, name := range names {
			if !strings.HasPrefix(line, name) {
				continue
			}
			at := strings.LastIndexByte(line, ' ')
			if value, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
				sums[line[:at]] += value
			}
		}
	}
}
