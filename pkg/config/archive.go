package config

import "time"

// What is done with the output of a run's steps.
const (
	// LogsFollow reads while a step runs, so that the output of steps whose pod is deleted at their
	// end survives.
	LogsFollow = "follow"
	// LogsCollect reads after the run has finished: one stream per step, and none while it runs.
	LogsCollect = "collect"
	// LogsNone keeps no output.
	LogsNone = "none"
)

// Limits of the section archive.
const (
	// MaxStreams is more than one kubelet, and most API servers, can serve.
	MaxStreams = 10000
	// MaxAge is a hundred years; use "forever" for more.
	MaxAge = 36500 * day

	day     = 24 * time.Hour
	forever = "forever"
)

// Archive says where finished runs go, and how long they stay in the cluster and in the archive. It
// contains no secrets: credentials of stores and databases come from the environment.
type Archive struct {
	// Cluster names this cluster in the archive: 1 to 63 lower-case letters, digits and hyphens
	// (RFC 1123).
	Cluster string
	// Store is the URL of the store: file, s3, gs or azblob.
	Store string
	// Index is the URL of the database that lists the store's content: sqlite or postgres.
	Index string
	// Logs is one of the Logs constants.
	Logs string
	// Streams bounds how many logs are followed at a time.
	Streams int
	// Keep says how long archived runs stay in the cluster. The first policy that matches a run
	// applies; a run that none matches stays for ever.
	Keep []Keep
	// Retention says what is deleted from the archive; runs that no policy matches stay for ever.
	Retention []Retention
}

// MaxLast is more runs of one Pipeline than anybody looks through in a cluster.
const MaxLast = 10000

// Keep is a policy on how long runs stay in the cluster.
type Keep struct {
	// Name is for logs; it is "keep" for the short form.
	Name string
	// For is how long a run stays at least after it was archived; Forever means that it stays.
	For     time.Duration
	Forever bool
	// Last is how many runs of each Pipeline or Task stay per namespace, whatever their age; 0 if
	// not set.
	Last int
	// Namespaces are globs, as package path matches them, of which one must match.
	Namespaces []string
	// Selector is a label selector as kubectl takes it; "" if the policy does not say.
	Selector string
	// Status lists how runs ended, each one of the Status constants; nil if the policy does not
	// say.
	Status []string
}

// How a run ended, in policies.
const (
	StatusSucceeded = "Succeeded"
	StatusFailed    = "Failed"
	StatusCancelled = "Cancelled"
)

var statuses = []string{StatusSucceeded, StatusFailed, StatusCancelled}

// Retention is a policy on what is deleted from the archive: the runs that meet all its conditions.
// Conditions not set do not matter.
type Retention struct {
	// Name is for logs and metrics.
	Name string
	// After is a run's minimum age, counted from its end; 0 if not set.
	After time.Duration
	// Namespaces are globs, as package path matches them, of which one must match.
	Namespaces []string
	// DeletedNamespaces requires that the run's namespace no longer exists.
	DeletedNamespaces bool
	// Selector is a label selector as kubectl takes it; "" if the policy does not say.
	Selector string
	// Status lists how runs ended, each one of the Status constants; nil if the policy does not
	// say.
	Status []string
}
