package config

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	outcomeOK     = "ok"
	outcomeFailed = "failed"
)

// Metrics counts reloads of the file.
type Metrics struct {
	reloads    *prometheus.CounterVec
	successful prometheus.Gauge
}

// NewMetrics registers the package's metrics; a nil Registerer registers none.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		reloads: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
			Name: "indelible_config_reloads_total",
			Help: "Changes of the configuration file seen while running, by whether they could be used.",
		}, []string{"outcome"}),
		successful: promauto.With(r).NewGauge(prometheus.GaugeOpts{
			Name: "indelible_config_last_reload_successful",
			Help: "1 if the configuration file as it is now is in force, 0 if an earlier one is.",
		}),
	}
	m.reloads.WithLabelValues(outcomeOK)
	m.reloads.WithLabelValues(outcomeFailed)
	m.successful.Set(1)
	return m
}

func (m *Metrics) reloaded() {
	m.reloads.WithLabelValues(outcomeOK).Inc()
	m.successful.Set(1)
}

func (m *Metrics) failed() {
	m.reloads.WithLabelValues(outcomeFailed).Inc()
	m.successful.Set(0)
}
