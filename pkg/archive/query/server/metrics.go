package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"google.golang.org/grpc/codes"
)

// Metrics counts requests over gRPC and REST. No label has a value that a caller chooses.
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	rows     *prometheus.CounterVec
	logBytes prometheus.Counter
}

// NewMetrics registers the metrics; a nil Registerer registers none.
func NewMetrics(r prometheus.Registerer) *Metrics {
	return &Metrics{
		requests: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
			Name: "indelible_api_requests_total",
			Help: "Requests to the query API, by method and gRPC code.",
		}, []string{"method", "code"}),
		seconds: promauto.With(r).NewHistogramVec(prometheus.HistogramOpts{
			Name:    "indelible_api_request_duration_seconds",
			Help:    "Time of a request to the query API, for a log until its last byte.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 12),
		}, []string{"method"}),
		rows: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
			Name: "indelible_api_rows_total",
			Help: "Results, records and groups that the query API has returned.",
		}, []string{"method"}),
		logBytes: promauto.With(r).NewCounter(prometheus.CounterOpts{
			Name: "indelible_api_log_bytes_total",
			Help: "Bytes of logs that the query API has returned.",
		}),
	}
}

func (m *Metrics) observe(method string, code codes.Code, took time.Duration, rows int) {
	m.requests.WithLabelValues(method, code.String()).Inc()
	m.seconds.WithLabelValues(method).Observe(took.Seconds())
	if rows > 0 {
		m.rows.WithLabelValues(method).Add(float64(rows))
	}
}
