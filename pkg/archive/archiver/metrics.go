package archiver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// Metrics of the archiver. Labels have few values: kinds, phases, reasons and states, never names.
type Metrics struct {
	Runs, Failures, parts, bytes *prometheus.CounterVec
	Latency, phases              *prometheus.HistogramVec
	Waiting, Oldest              *prometheus.GaugeVec
	Queued                       *prometheus.GaugeVec
	Lost, unfollowed, unindexed  prometheus.Counter
	eventsDropped, unreadable    *prometheus.CounterVec
	// AwaitsEvents is 1 while nothing is archived because the cluster's events are not known yet.
	AwaitsEvents         prometheus.Gauge
	streams, lastSuccess prometheus.Gauge
	Synced               *prometheus.GaugeVec
	choreDone            *prometheus.GaugeVec
	choreFailures        *prometheus.CounterVec
}

// Chores are the maintenance tasks of cmd/archiver, as values of the metrics' label "chore".
var Chores = []string{"index", "retention", "catalogue", "sweep"}

// NewMetrics registers the archiver's metrics; a nil Registerer registers none.
func NewMetrics(r prometheus.Registerer) *Metrics {
	with := promauto.With(r)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		o := prometheus.CounterOpts{Namespace: "indelible", Subsystem: "archive", Name: name, Help: help}
		return with.NewCounterVec(o, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		o := prometheus.GaugeOpts{Namespace: "indelible", Subsystem: "archive", Name: name, Help: help}
		return with.NewGaugeVec(o, labels)
	}
	m := &Metrics{
		Runs: counter("runs_total",
			"Runs by outcome: committed, archived (finalizer removed), pruned, ignored.", "kind", "outcome"),
		Failures: counter("failures_total",
			"Failed attempts by phase. The run stays in the cluster and is tried again.", "phase"),
		parts: counter("parts_total", "Parts of committed runs, by type and whether all of it is stored: complete, "+
			"truncated, missing.", "type", "state"),
		bytes: counter("bytes_total",
			"Bytes of committed runs' parts: content, and stored, that is, compressed and outside "+
				"of the commit.", "type", "of"),
		Latency: with.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "indelible", Subsystem: "archive", Name: "commit_latency_seconds",
			Help: "From when the archiver first saw that a run is finished to when it was committed and verified, of runs " +
				"that finished while it watched.",
			Buckets: []float64{.005, .01, .02, .03, .04, .06, .08, .1, .15, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800},
		}, []string{"kind"}),
		Waiting: gauge("waiting_runs", "Finished or deleted runs that are not in the archive yet, by why the last "+
			"attempt ended: queued if there was none, what it waits for, or the phase that failed.", "reason"),
		Oldest: gauge("oldest_waiting_seconds",
			"How long the oldest of them has been waiting since the archiver first saw it.", "reason"),
		Queued: gauge("queue_length", "Runs that wait for a worker."),
		choreDone: gauge("chore_timestamp_seconds",
			"When a chore was last done to its end: index, retention, catalogue, sweep.", "chore"),
		choreFailures: counter("chore_failures_total",
			"Times that a chore was not done to its end. It is done again at its next time.", "chore"),
		Synced: gauge("watch_synced", "1 for each resource whose state the archiver has read, 0 before.", "resource"),
		Lost: counter("lost_total", "Runs that were deleted before they could be protected, and whose last state "+
			"could not be kept or not be archived.").WithLabelValues(),
		unfollowed: counter("unfollowed_total",
			"Times that a log was not followed because all streams were taken. It is "+
				"read at the end, if its pod is still there.").WithLabelValues(),
		unindexed: counter("unindexed_total", "Runs that were archived without a row in the index, because it "+
			"refused them for what they contain.").WithLabelValues(),
		eventsDropped: counter("events_dropped_total",
			"Events about runs and pods that are not archived, by why: their own size, or the memory for all.",
			"reason"),
		unreadable: counter("unreadable_total", "Objects of the cluster that could not be decoded, and were left out. "+
			"One may be counted again, when the watch starts over.", "resource"),
		AwaitsEvents: gauge("awaits_events", "1 while nothing is archived, because the cluster's events are not known "+
			"yet. That ends after five minutes.").WithLabelValues(),
		streams: gauge("streams", "Logs that are being followed.").WithLabelValues(),
		lastSuccess: gauge("last_commit_timestamp_seconds",
			"When a run was last committed and verified.").WithLabelValues(),
		phases: with.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "indelible", Subsystem: "archive", Name: "phase_seconds",
			Help:    "Time in each phase that ended without an error.",
			Buckets: prometheus.ExponentialBuckets(.0005, 2.5, 14),
		}, []string{"phase"}),
	}
	for _, kind := range run.Kinds {
		for _, outcome := range []Outcome{Committed, Archived, Pruned, Ignored} {
			m.Runs.WithLabelValues(kind, string(outcome))
		}
	}
	for _, chore := range Chores {
		m.choreFailures.WithLabelValues(chore)
	}
	for _, reason := range observed.DropReasons {
		m.eventsDropped.WithLabelValues(reason)
	}
	m.unreadable.WithLabelValues("events")
	for _, resource := range run.Resources {
		m.unreadable.WithLabelValues(resource.Resource)
	}
	m.Queued.WithLabelValues()
	return m
}

// countCommit counts a commit and its parts.
func (m *Metrics) countCommit(c *manifest.Commit) {
	m.Runs.WithLabelValues(c.Run.Kind, string(Committed)).Inc()
	m.lastSuccess.SetToCurrentTime()
	for i := range c.Parts {
		p := &c.Parts[i]
		m.parts.WithLabelValues(string(p.Type), string(p.State)).Inc()
		if p.Content != nil {
			m.bytes.WithLabelValues(string(p.Type), "content").Add(float64(p.Content.Bytes))
		}
		if p.Stored != nil {
			m.bytes.WithLabelValues(string(p.Type), "stored").Add(float64(p.Stored.Bytes))
		}
	}
}

func (m *Metrics) eventDropped(reason string) { m.eventsDropped.WithLabelValues(reason).Inc() }

func (m *Metrics) phase(name string, began time.Time) {
	m.phases.WithLabelValues(name).Observe(time.Since(began).Seconds())
}

// Chore records that the maintenance task name, one of Chores, succeeded or failed.
func (m *Metrics) Chore(name string, err error) {
	if err != nil {
		m.choreFailures.WithLabelValues(name).Inc()
		return
	}
	m.choreDone.WithLabelValues(name).SetToCurrentTime()
}
