package selfcheck

import "time"

// A Topic is one thing that looks are about. What is wrong with one is told apart from the others, by an event
// of its own.
type Topic struct {
	// Wrong and Right are the reasons of the events that tell of a change.
	Wrong, Right string
	// unready: until it is right, the webhook must not be relied on.
	unready bool
	// Relief is said when it is right again, headline, before what is wrong, in the log.
	Relief, headline string
}

// The topics, in the order in which they are told.
var (
	// Grant: what guards the grant is in place, or there is none.
	Grant = Topic{Wrong: "UnguardedGrant", Right: "GrantGuarded", unready: true,
		headline: "Unguarded grant",
		Relief:   "What guards the grant is in place again, or the grant is gone"}
	// Controller: everything names the user that Tekton's controller runs as.
	Controller = Topic{Wrong: "WrongController", Right: "ControllerKnown", unready: true,
		headline: "Tekton's controller is not who is trusted",
		Relief:   "Tekton's controller is who is trusted everywhere again"}
	// Settings: what is set in two places is the same. Without, some writes are refused that should not be, and
	// no door is open.
	Settings = Topic{Wrong: "SettingsDiffer", Right: "SettingsAgree",
		headline: "Settings differ", Relief: "Settings agree again"}
	// GroupLeak: not every service account may read TaskRuns by patching them.
	GroupLeak = Topic{Wrong: "ReadLeak", Right: "ReadLeakClosed",
		headline: "Every service account may read TaskRuns",
		Relief:   "Not every service account may patch taskruns/status any more"}
	// BoundLeaks: nor may a single one that may not get them.
	BoundLeaks = Topic{Wrong: "ReadLeak", Right: "ReadLeakClosed",
		headline: "Service accounts may read TaskRuns that they may not get",
		Relief:   "No binding lets service accounts patch taskruns/status any more that may not read TaskRuns"}
)

var topics = []Topic{Grant, Controller, Settings, GroupLeak, BoundLeaks}

// Look is what one look found.
type Look interface {
	// problems says of each topic that was looked at what is wrong, "" if nothing is.
	problems() map[Topic]string
	// measure tells the metrics, and when the look began.
	measure(m *Metrics, began time.Time)
}
