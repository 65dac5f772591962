package config

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// dnsLabel is the form of cluster names in pkg/archive/layout, which must not be imported here: the
// webhook links this package.
var dnsLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

const labelWanted = "must be 1 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or " +
	"digit"

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

// url reads a URL for which wrong returns no problem. Messages never repeat the URL: it may contain
// a secret by mistake.
func (r *reader) url(to *string, path string, v any, wrong func(*url.URL) string) {
	var s string
	before := len(r.problems)
	r.text(&s, path, v)
	if v == nil || len(r.problems) > before {
		return
	}
	u, err := url.Parse(s)
	problem := "is not a URL" // err would repeat it
	if err == nil {
		problem = wrong(u)
	}
	if problem != "" {
		r.problem(path, "%s", problem)
		return
	}
	*to = s
}

// storeProblem returns what is wrong with a store's URL, "" if nothing is. Whether the store exists
// turns out when it is opened.
func storeProblem(u *url.URL) string {
	switch {
	case !slices.Contains([]string{"file", "s3", "gs", "azblob"}, u.Scheme):
		return "must be a URL that begins with file://, s3://, gs:// or azblob://"
	case u.User != nil:
		return "must not hold credentials: put them into the Secret indelible-archive-credentials, " +
			"as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, or AZURE_STORAGE_ACCOUNT and " +
			"AZURE_STORAGE_KEY"
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

// pathProblem checks URLs of local files. With two slashes, the first folder would be taken for a
// host.
func pathProblem(u *url.URL, example string) string {
	if u.Host != "" || u.User != nil || u.Opaque != "" || len(u.Path) < 2 || u.Path[0] != '/' {
		return "must have three slashes and an absolute path, such as " + u.Scheme + ":///var/lib/indelible/" + example
	}
	return ""
}

// parseAge reads a duration from 0 to MaxAge in Go's syntax, or a whole number of days such as 90d.
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
