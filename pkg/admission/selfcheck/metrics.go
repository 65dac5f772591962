package selfcheck

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the self-check's. Their only label has one value for each object of the installation.
type Metrics struct {
	unguarded *prometheus.GaugeVec
	looked    prometheus.Gauge
	failures  prometheus.Counter
}

// NewMetrics registers the self-check's metrics. They say that all is well until the first look.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		unguarded: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "indelible_unguarded_grant",
			Help: "1 if RBAC lets service accounts write taskruns/status while this piece of what guards it is missing or weakened, else 0.",
		}, []string{"piece"}),
		looked: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "indelible_selfcheck_last_success_timestamp_seconds",
			Help: "When the last look for an unguarded grant that had an answer began, in seconds since 1970; 0 before the first.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "indelible_selfcheck_failures_total",
			Help: "Looks for an unguarded grant that failed, as the API server did not answer or did not allow it.",
		}),
	}
	registerer.MustRegister(m.unguarded, m.looked, m.failures)
	m.found(nil)
	return m
}

func (m *Metrics) lookedAt(t time.Time) { m.looked.Set(float64(t.UnixMilli()) / 1000) }

func (m *Metrics) found(gaps []gap) {
	for _, p := range pieces() {
		value := 0.0
		if slices.ContainsFunc(gaps, func(g gap) bool { return g.piece == p }) {
			value = 1
		}
		m.unguarded.WithLabelValues(p.String()).Set(value)
	}
}
