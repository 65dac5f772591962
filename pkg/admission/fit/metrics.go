package fit

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// outcome is what became of a write of a large run.
type outcome string

const (
	unchanged       outcome = "unchanged" // it fits
	shortened       outcome = "shortened"
	ended           outcome = "ended"   // or told why it had ended
	refusedCreation outcome = "refused" // not created
)

// Metrics counts what became of large runs.
type Metrics struct{ writes *prometheus.CounterVec }

// NewMetrics registers the package's metrics; a nil Registerer registers none.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{writes: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
		Name: "indelible_fit_writes_total",
		Help: "Writes of large runs that were looked at, by what was done so that they can be stored.",
	}, []string{"outcome"})}
	for _, o := range []outcome{unchanged, shortened, ended, refusedCreation} {
		m.writes.WithLabelValues(string(o))
	}
	return m
}

func (m *Metrics) count(o outcome) { m.writes.WithLabelValues(string(o)).Inc() }
