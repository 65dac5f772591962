package inject

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	outcomeInjected = "injected"
	outcomeSkipped  = "skipped"
)

// Metrics counts what became of the Pods seen.
type Metrics struct {
	pods     *prometheus.CounterVec
	duration prometheus.Histogram
}

// NewMetrics registers the package's metrics; a nil Registerer registers none.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		pods: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
			Name: "indelible_inject_pods_total",
			Help: "Pods seen at their creation, by what was done with them and, where they were left alone, why.",
		}, []string{"outcome", "reason"}),
		duration: promauto.With(r).NewHistogram(prometheus.HistogramOpts{
			Name:    "indelible_inject_duration_seconds",
			Help:    "Time taken to decide about a Pod at its creation.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
	}
	// Series that are there from the start let a rate see the first event.
	m.pods.WithLabelValues(outcomeInjected, "")
	for _, reason := range reasons {
		m.pods.WithLabelValues(outcomeSkipped, string(reason))
	}
	return m
}

func (m *Metrics) injected() { m.pods.WithLabelValues(outcomeInjected, "").Inc() }

func (m *Metrics) skipped(r reason) { m.pods.WithLabelValues(outcomeSkipped, string(r)).Inc() }

func (m *Metrics) took(d time.Duration) { m.duration.Observe(d.Seconds()) }
