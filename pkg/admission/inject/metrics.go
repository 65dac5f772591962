package inject

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	outcomeInjected = "injected"
	outcomeSkipped  = "skipped"
	outcomeRefused  = "refused"
)

// Metrics counts what became of the Pods seen.
type Metrics struct {
	pods     *prometheus.CounterVec
	split    prometheus.Counter
	duration prometheus.Histogram
}

// NewMetrics registers the package's metrics; a nil Registerer registers none.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		pods: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
			Name: "indelible_inject_pods_total",
			Help: "Pods seen at their creation, by what was done about their results, " +
				"or that they were refused, and why.",
		}, []string{"outcome", "reason"}),
		split: promauto.With(r).NewCounter(prometheus.CounterOpts{
			Name: "indelible_inject_rechunked_total",
			Help: "Pods whose scripts were too long for one string and are passed in pieces.",
		}),
		duration: promauto.With(r).NewHistogram(prometheus.HistogramOpts{
			Name:    "indelible_inject_duration_seconds",
			Help:    "Time taken to decide about a Pod at its creation.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
	}
	// Series that exist from the start let a rate see the first event.
	m.pods.WithLabelValues(outcomeInjected, "")
	for _, r := range skipReasons {
		m.pods.WithLabelValues(outcomeSkipped, string(r))
	}
	for _, r := range refusalReasons {
		m.pods.WithLabelValues(outcomeRefused, string(r))
	}
	return m
}

// count counts a decision, once in each metric it belongs to.
func (m *Metrics) count(d decision) {
	switch {
	case d.refused != nil:
		m.pods.WithLabelValues(outcomeRefused, string(d.refused.reason)).Inc()
		return
	case d.skipped != nil:
		m.pods.WithLabelValues(outcomeSkipped, string(d.skipped.reason)).Inc()
	default:
		m.pods.WithLabelValues(outcomeInjected, "").Inc()
	}
	if d.scripts != nil {
		m.split.Inc()
	}
}

func (m *Metrics) took(d time.Duration) { m.duration.Observe(d.Seconds()) }
