package selfcheck

import "time"

// A Topic is one subject of checks. Each is reported by events of its own.
type Topic struct {
	// Wrong and Right are the reasons of the events about a change.
	Wrong, Right string
	// unready: while it is wrong, the webhook must not be relied on.
	unready bool
	// Relief is the message when it is right again; headline precedes the problem in the log.
	Relief, headline string
}

// The topics, in the order in which they are reported.
var (
	// Grant: the grant is guarded, or there is none.
	Grant = Topic{Wrong: "UnguardedGrant", Right: "GrantGuarded", unready: true,
		headline: "Unguarded grant",
		Relief:   "What guards the grant is in place again, or the grant is gone"}
	// Controller: all pieces name the user that Tekton's controller runs as.
	Controller = Topic{Wrong: "WrongController", Right: "ControllerKnown", unready: true,
		headline: "Tekton's controller is not who is trusted",
		Relief:   "Tekton's controller is who is trusted everywhere again"}
	// Settings: values set in two places agree. Otherwise some writes are denied that should be
	// allowed; security is not affected.
	Settings = Topic{Wrong: "SettingsDiffer", Right: "SettingsAgree",
		headline: "Settings differ", Relief: "Settings agree again"}
	// GroupLeak: not every service account may read TaskRuns by patching them.
	GroupLeak = Topic{Wrong: "ReadLeak", Right: "ReadLeakClosed",
		headline: "Every service account may read TaskRuns",
		Relief:   "Not every service account may patch taskruns/status any more"}
	// BoundLeaks: no single service account may, either, unless it may get them.
	BoundLeaks = Topic{Wrong: "ReadLeak", Right: "ReadLeakClosed",
		headline: "Service accounts may read TaskRuns that they may not get",
		Relief:   "No binding lets service accounts patch taskruns/status any more that may not read TaskRuns"}
)

var topics = []Topic{Grant, Controller, Settings, GroupLeak, BoundLeaks}

// Look is the result of one check.
type Look interface {
	// problems returns the problem of each checked topic, "" if there is none.
	problems() map[Topic]string
	// measure updates the metrics; began is when the check began.
	measure(m *Metrics, began time.Time)
}
