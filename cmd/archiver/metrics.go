package main

import (
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// choreMetrics say when the archive was last looked after.
type choreMetrics struct {
	success  *prometheus.GaugeVec
	failures *prometheus.CounterVec
}

func newChoreMetrics(r prometheus.Registerer) *choreMetrics {
	m := &choreMetrics{
		success: promauto.With(r).NewGaugeVec(prometheus.GaugeOpts{
			Name: "indelible_archive_chore_timestamp_seconds", Help: "When a chore was last done to its end: index, retention, catalogue, sweep.",
		}, []string{"chore"}),
		failures: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
			Name: "indelible_archive_chore_failures_total", Help: "Times that a chore was not done to its end. It is done again at its next time.",
		}, []string{"chore"}),
	}
	for _, c := range choreNames {
		m.failures.WithLabelValues(c)
	}
	return m
}

var choreNames = []string{"index", "retention", "catalogue", "sweep"}

func (m *choreMetrics) done(name string, err error, log logr.Logger) {
	if err != nil {
		m.failures.WithLabelValues(name).Inc()
		log.Error(err, "The archive was not looked after", "chore", name)
		return
	}
	m.success.WithLabelValues(name).Set(float64(time.Now().UnixMilli()) / 1000)
}
