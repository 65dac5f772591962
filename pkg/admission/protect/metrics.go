package protect

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics counts what was done with runs.
type Metrics struct {
	runs     *prometheus.CounterVec
	duration prometheus.Histogram
}

// NewMetrics registers the package's metrics; a nil Registerer registers none.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		runs: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
			Name: "indelible_protect_runs_total",
			Help: "Runs seen at their creation, by what was done about the archive's finalizer.",
		}, []string{"outcome"}),
		duration: promauto.With(r).NewHistogram(prometheus.HistogramOpts{
			Name:    "indelible_protect_duration_seconds",
			Help:    "Time taken to decide about a run at its creation.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1},
		}),
	}
	// Series that exist from the start let a rate see the first event.
	for _, o := range outcomes {
		m.runs.WithLabelValues(string(o))
	}
	return m
}

func (m *Metrics) count(o outcome) { m.runs.WithLabelValues(string(o)).Inc() }

func (m *Metrics) took(d time.Duration) { m.duration.Observe(d.Seconds()) }
