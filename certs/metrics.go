package certs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics of the serving certificate. A nil *Metrics does nothing.
type Metrics struct {
	expiries  *prometheus.GaugeVec
	rotations *prometheus.CounterVec
}

// NewMetrics registers the metrics.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		expiries: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "indelible_certificate_expiry_timestamp_seconds",
			Help: "When the certificate this replica serves with, and the CA that signs now, expire, in seconds since 1970.",
		}, []string{"certificate"}),
		rotations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "indelible_certificate_rotations_total",
			Help: "Steps of rotation this replica took, its first certificates included.",
		}, []string{"certificate"}),
	}
	registry.MustRegister(m.expiries, m.rotations)
	for _, kind := range []string{kindCA, kindServing} {
		m.rotations.WithLabelValues(kind)
	}
	return m
}

func (m *Metrics) expiry(kind string, at time.Time) {
	if m != nil {
		m.expiries.WithLabelValues(kind).Set(float64(at.Unix()))
	}
}

func (m *Metrics) rotated(kind string) {
	if m != nil {
		m.rotations.WithLabelValues(kind).Inc()
	}
}
