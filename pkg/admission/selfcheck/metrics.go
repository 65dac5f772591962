package selfcheck

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the self-check's. Their only label has one value for each object of the installation.
type Metrics struct {
	unguarded *prometheus.GaugeVec
	failures  prometheus.Counter
}

// NewMetrics registers the self-check's metrics. They say that all is well until the first look.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		unguarded: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "indelible_unguarded_grant",
			Help: "1 if RBAC lets service accounts write taskruns/status while this piece of what guards it is missing or weakened, else 0.",
		}, []string{"piece"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "indelible_selfcheck_failures_total",
			Help: "Looks for an unguarded grant that failed, as the API server did not answer or did not allow it.",
		}),
	}
	registerer.MustRegister(m.unguarded, m.failures)
	m.found(nil)
	return m
}

func (m *Metrics) found(gaps []gap) {
	for _, p := range pieces() {
		value := 0.0
		if slices.ContainsFunc(gaps, func(g gap) bool { return g.piece == p }) {
			value = 1
		}
		m.unguarded.WithLabelValues(p.String()).Set(value)
	}
}
