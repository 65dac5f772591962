package selfcheck

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics of the self-check. Labels have one value per object of the installation; for leaks, two.
type Metrics struct {
	unguarded, strangers, settings *prometheus.GaugeVec
	leaks                          *prometheus.GaugeVec
	looked, leaksLooked            prometheus.Gauge
	failures                       prometheus.Counter
}

// Who can exploit a leak: all service accounts, or those that bindings name.
const (
	leakOfGroup = "all"
	leakBound   = "bound"
)

// NewMetrics registers the self-check's metrics. They report no problem before the first check.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	gauges := func(name, help string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		registerer.MustRegister(v)
		return v
	}
	m := &Metrics{
		unguarded: gauges("indelible_unguarded_grant",
			"1 if RBAC lets service accounts write taskruns/status while this piece of what guards it is missing "+
				"or weakened, else 0.", "piece"),
		strangers: gauges("indelible_wrong_controller",
			"1 if Tekton's controller runs as another user than this piece of the installation trusts, else 0.",
			"piece"),
		settings: gauges("indelible_settings_differ",
			"1 if this piece has another limit, or another name of Tekton's controller, than the webhook's "+
				"configuration, else 0.", "piece"),
		leaks: gauges("indelible_read_leaks",
			"Grants of patch on taskruns/status to service accounts that may not get TaskRuns there: to all of them, "+
				"0 or 1; and bound, by how many bindings.", "to"),
		looked: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "indelible_selfcheck_last_success_timestamp_seconds",
			Help: "When the last look for an unguarded grant that had an answer began, in seconds since 1970; 0 before the " +
				"first.",
		}),
		leaksLooked: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "indelible_selfcheck_leaks_last_success_timestamp_seconds",
			Help: "When the last look through all roles and bindings for read leaks that had an answer began, " +
				"in seconds since 1970; 0 before the first.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "indelible_selfcheck_failures_total",
			Help: "Looks of the self-check that failed, as the API server did not answer or did not allow it.",
		}),
	}
	registerer.MustRegister(m.looked, m.leaksLooked, m.failures)
	for _, v := range []*prometheus.GaugeVec{m.unguarded, m.strangers, m.settings} {
		m.foundGaps(v, nil)
	}
	m.leaks.WithLabelValues(leakOfGroup).Set(0)
	m.leaks.WithLabelValues(leakBound).Set(0)
	return m
}

// foundGaps sets 1 for each piece among the gaps, 0 for the others.
func (m *Metrics) foundGaps(v *prometheus.GaugeVec, gaps []gap) {
	all := pieces()
	if v == m.strangers {
		all = append(all, configuration)
	}
	for _, p := range all {
		v.WithLabelValues(p.String()).Set(number(slices.ContainsFunc(gaps, func(g gap) bool { return g.piece == p })))
	}
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
