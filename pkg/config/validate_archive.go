package config

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What is done about the output of a run's steps.
const (
	// LogsFollow reads while a step runs, so that the output of steps survives whose pod is taken away at their end.
	LogsFollow = "follow"
	// LogsCollect reads once the run is finished, which costs one stream a step and none while it runs.
	LogsCollect = "collect"
	// LogsNone keeps no output.
	LogsNone = "none"
)

// Bounds of the archive's part of a file.
const (
	// MaxStreams is more than one kubelet, and most API servers, would carry.
	MaxStreams = 10000
	// MaxAge is a hundred years: what is meant to stay for ever says so.
	MaxAge = 36500 * day

	day     = 24 * time.Hour
	forever = "forever"
)

// Archive is where finished runs go, and how long they stay where. Nothing in it is secret: credentials of stores and
// databases are in the environment.
type Archive struct {
	// Cluster names this cluster in the archive, so that several share one store: 1 to 63 lower-case letters, digits and
	// hyphens (RFC 1123).
	Cluster string
	// Store is the URL of the store: file, s3, gs or azblob.
	Store string
	// Index is the URL of the database that lists the store's content: sqlite or postgres.
	Index string
	// Logs is one of the Logs constants.
	Logs string
	// Streams bounds how many logs are followed at a time.
	Streams int
	// Keep says how long runs stay in the cluster after they were archived. Of several policies the first one counts that is about a run;
	// what none is about stays for ever.
	Keep []Keep
	// Retention says what is deleted from the archive; what no policy matches stays for ever.
	Retention []Retention
}

// dnsLabel is what cluster names of pkg/archive/layout are; it must not be imported here, as the webhook links this package.
var dnsLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

const labelWanted = "must be 1 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit"

func (r *reader) archive(to *Archive, v any) {
	fields := r.object("archive", v, "cluster", "store", "index", "logs", "streams", "keep", "retention")
	r.label(&to.Cluster, "archive.cluster", fields["cluster"])
	r.url(&to.Store, "archive.store", fields["store"], storeProblem)
	r.url(&to.Index, "archive.index", fields["index"], indexProblem)
	r.oneOf(&to.Logs, "archive.logs", fields["logs"], LogsFollow, LogsCollect, LogsNone)
	r.whole(&to.Streams, "archive.streams", fields["streams"], 0, MaxStreams)
	to.Keep = r.keep("archive.keep", fields["keep"])
	r.retention(&to.Retention, "archive.retention", fields["retention"])
}

func (r *reader) label(to *string, path string, v any) {
	if v == nil {
		return
	}
	s, ok := v.(string)
	if !ok || !dnsLabel.MatchString(s) {
		r.problem(path, "%s", labelWanted)
		return
	}
	*to = s
}

// url reads a URL of which wrong finds nothing to say. What is told of it never repeats it: it may hold a secret that should
// not be there.
func (r *reader) url(to *string, path string, v any, wrong func(*url.URL) string) {
	var s string
	before := len(r.problems)
	r.text(&s, path, v)
	if v == nil || len(r.problems) > before {
		return
	}
	u, err := url.Parse(s)
	problem := "is no URL" // the error would repeat it
	if err == nil {
		problem = wrong(u)
	}
	if problem != "" {
		r.problem(path, "%s", problem)
		return
	}
	*to = s
}

// storeProblem says what is wrong with a store's URL, "" if nothing is. Whether there is such a store is found by opening it.
func storeProblem(u *url.URL) string {
	switch {
	case !slices.Contains([]string{"file", "s3", "gs", "azblob"}, u.Scheme):
		return "must be a URL that begins with file://, s3://, gs:// or azblob://"
	case u.User != nil:
		return "must not hold credentials: put them into the Secret indelible-archive-credentials, as AWS_ACCESS_KEY_ID and " +
			"AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, or AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY"
	case u.Fragment != "":
		return "must not have a part after #"
	case u.Scheme == "file" && u.RawQuery != "":
		return "must not have parameters: a directory has none"
	case u.Scheme == "file":
		return pathProblem(u, "archive")
	case u.Host == "":
		return "must name the bucket, such as s3://bucket?region=eu-central-1"
	case strings.Trim(u.Path, "/") != "":
		return "must give a folder in the bucket as prefix, such as s3://bucket?prefix=tekton/"
	}
	return ""
}

func indexProblem(u *url.URL) string {
	query := u.Query()
	_, password := u.User.Password()
	switch {
	case !slices.Contains([]string{"sqlite", "postgres", "postgresql"}, u.Scheme):
		return "must be a URL that begins with sqlite:// or postgres://"
	case password || query.Has("password") || query.Has("sslpassword"):
		return "must not hold a password: put it into the Secret indelible-archive-credentials, as PGPASSWORD"
	case u.Fragment != "":
		return "must not have a part after #"
	case u.Scheme == "sqlite":
		return pathProblem(u, "index.db")
	}
	return ""
}

// pathProblem is about URLs of local files. With two slashes the first folder would be taken for a host.
func pathProblem(u *url.URL, example string) string {
	if u.Host != "" || u.User != nil || u.Opaque != "" || len(u.Path) < 2 || u.Path[0] != '/' {
		return "must have three slashes and an absolute path, such as " + u.Scheme + ":///var/lib/indelible/" + example
	}
	return ""
}

// parseAge reads a duration from 0 to MaxAge as Go writes it, or a whole number of days: nobody counts in hours how long
// something is kept.
func parseAge(v any) (time.Duration, bool) {
	s, ok := v.(string)
	if !ok {
		return 0, false
	}
	d, err := time.ParseDuration(s)
	if days, isDays := strings.CutSuffix(s, "d"); isDays {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * day // 16 bits of days fit
	}
	return d, err == nil && d >= 0 && d <= MaxAge
}
