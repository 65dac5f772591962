package guard

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the guard's metrics. No label is the name of a namespace, run or pod: their number is
// unbounded.
type Metrics struct {
	decisions    *prometheus.CounterVec
	duration     *prometheus.HistogramVec
	restored     prometheus.Counter
	resultBytes  prometheus.Histogram
	explanations prometheus.Counter
}

// NewMetrics registers the guard's metrics. One Metrics serves all handlers.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "indelible_guard_decisions_total",
			Help: "Status writes the guard decided, by kind of writer, by the rule that denied (empty if allowed), and by " +
				"decision: allowed, denied, or deferred, where the writer is told to try again.",
		}, []string{"writer", "rule", "decision"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "indelible_guard_duration_seconds",
			Help:    "Time the guard took for a decision, reading the live Pod included, by kind of writer.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2},
		}, []string{"writer"}),
		restored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "indelible_guard_results_restored_total",
			Help: "Stored results and step results put back into writes of the controller that would have lost or changed them.",
		}),
		resultBytes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "indelible_guard_result_bytes",
			Help:    "Sizes of published results, one observation a result.",
			Buckets: prometheus.ExponentialBuckets(64, 4, 8), // 64 B … 1 MiB
		}),
		explanations: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "indelible_guard_explanations_total",
			Help: "Failed TaskRuns whose condition was given the reason why results were not published.",
		}),
	}
	registerer.MustRegister(m.decisions, m.duration, m.restored, m.resultBytes, m.explanations)
	return m
}

func (m *Metrics) decided(r requester, v verdict, took time.Duration, dryRun bool) {
	decision, rule := "allowed", ""
	if v.denial != nil {
		decision, rule = "denied", v.denial.rule
		if v.denial.mayPassLater() {
			decision = "deferred"
		}
	}
	m.decisions.WithLabelValues(string(r.kind), rule, decision).Inc()
	m.duration.WithLabelValues(string(r.kind)).Observe(took.Seconds())
	if v.denial != nil || dryRun {
		return
	}
	m.restored.Add(float64(v.preserved))
	for _, a := range v.added {
		m.resultBytes.Observe(float64(a.bytes))
	}
}
