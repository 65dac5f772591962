package harness

import (
	"context"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
)

// Histogram is a histogram of Prometheus: how many observations were at most so much, by the upper
// bound of each bucket.
type Histogram map[float64]float64

// StatusWriteTimes is how long the API server took for PUTs of taskruns/status since it started, in
// seconds: decoding, webhooks, policies and etcd. Those of publishers are among them, and more of
// Tekton's controller.
func (c *Cluster) StatusWriteTimes(ctx context.Context) (Histogram, error) {
	text, err := c.Kube.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the API server's metrics: %w", err)
	}
	return readHistogram(string(text), "apiserver_request_duration_seconds",
		`dry_run=""`, `group="tekton.dev"`, `resource="taskruns"`, `subresource="status"`, `verb="PUT"`,
		`version="v1"`), nil
}

// readHistogram adds up the series of a histogram that have all of some labels, written as in the
// text format.
func readHistogram(text, name string, labels ...string) Histogram {
	h := Histogram{}
	for _, line := range strings.Split(text, "\n") {
		rest, ok := strings.CutPrefix(line, name+"_bucket{")
		end := strings.LastIndexByte(rest, '}')
		if !ok || end < 0 || !hasAll(rest[:end], labels) {
			continue
		}
		_, bound, _ := strings.Cut(rest[:end], `le="`)
		bound, _, _ = strings.Cut(bound, `"`)
		le, err := strconv.ParseFloat(bound, 64)
		count, err2 := strconv.ParseFloat(strings.TrimSpace(rest[end+1:]), 64)
		if err == nil && err2 == nil {
			h[le] += count
		}
	}
	return h
}

func hasAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// Since returns the observations since an earlier reading.
func (h Histogram) Since(before Histogram) Histogram {
	since := Histogram{}
	for le, count := range h {
		since[le] = count - before[le]
	}
	return since
}

// Count is the number of observations.
func (h Histogram) Count() int { return int(h[math.Inf(1)]) }

// Quantile is the bucket that holds a quantile, above lower and at most upper. What is inside a
// bucket is not known.
func (h Histogram) Quantile(q float64) (lower, upper float64) {
	bounds := make([]float64, 0, len(h))
	for le := range h {
		bounds = append(bounds, le)
	}
	sort.Float64s(bounds)
	for _, le := range bounds {
		if h[le] >= q*h[math.Inf(1)] {
			return lower, le
		}
		lower = le
	}
	return lower, math.Inf(1)
}
