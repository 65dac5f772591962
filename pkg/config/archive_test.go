package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
)

const withImage = head + "publisher: {image: p}\n"

func TestParseAllowsOfTheArchive(t *testing.T) {
	defaults := Default().Archive
	changed := func(change func(*Archive)) Archive {
		a := defaults
		change(&a)
		return a
	}
	tests := map[string]struct {
		section string
		want    Archive
	}{
		"allow no section": {"", defaults},
		"allow a null":     {"archive:\n", defaults},
		"allow nulls for defaults": {
			"archive: {cluster: , store: , index: , logs: , streams: , keep: , retention: }\n", defaults,
		},
		"allow every field": {
			`
archive:
  cluster: eu-1
  store: s3://bucket?region=eu-central-1&prefix=tekton/
  index: postgres://user@host:5432/db?sslmode=verify-full
  logs: collect
  streams: 10000
  keep: 720h
  retention:
  - name: trials
    after: 90d
    namespaces: ["trial-*", "t[ab]?"]
    deletedNamespaces: true
    selector: app=shop,tier in (test, trial)
    status: [Cancelled, Failed]
  - {name: old, after: 2160h30m}
`, Archive{
				Cluster: "eu-1", Store: "s3://bucket?region=eu-central-1&prefix=tekton/",
				Index: "postgres://user@host:5432/db?sslmode=verify-full", Logs: "collect", Streams: 10000,
				Keep: kept(720 * time.Hour),
				Retention: []Retention{
					{
						Name: "trials", After: 2160 * time.Hour, Namespaces: []string{"trial-*", "t[ab]?"},
						DeletedNamespaces: true,
						Selector:          "app=shop,tier in (test, trial)", Status: []string{"Cancelled", "Failed"},
					},
					{Name: "old", After: 2160*time.Hour + 30*time.Minute},
				},
			},
		},
		"allow to keep for ever":   {"archive: {keep: forever}\n", defaults},
		"allow to keep not at all": {"archive: {keep: 0s}\n", changed(func(a *Archive) { a.Keep = kept(0) })},
		"allow to keep for days": {"archive: {keep: 30d}\n",
			changed(func(a *Archive) { a.Keep = kept(720 * time.Hour) })},
		"allow to keep a hundred years": {"archive: {keep: 36500d}\n",
			changed(func(a *Archive) { a.Keep = kept(876000 * time.Hour) })},
		"allow to keep by policies": {
			`
archive:
  keep:
  - {name: pinned, selector: pin=yes, for: forever}
  - {name: failures, status: [Failed, Cancelled], for: 30d, last: 1}
  - {name: trials, namespaces: ["trial-*"], for: 0s}
  - {name: rest, last: 10000}
`, changed(func(a *Archive) {
				a.Keep = []Keep{
					{Name: "pinned", Selector: "pin=yes", Forever: true},
					{Name: "failures", Status: []string{"Failed", "Cancelled"}, For: 720 * time.Hour, Last: 1},
					{Name: "trials", Namespaces: []string{"trial-*"}}, {Name: "rest", Last: 10000},
				}
			}),
		},
		"allow no followed logs": {"archive: {streams: 0, logs: none}\n", changed(func(a *Archive) {
			a.Streams, a.Logs = 0,
				"none"
		})},
		"allow a cluster of 63 letters": {"archive: {cluster: " + strings.Repeat("a", 63) + "}\n",
			changed(func(a *Archive) { a.Cluster = strings.Repeat("a", 63) })},
		"allow Google's store": {"archive: {store: 'gs://bucket'}\n",
			changed(func(a *Archive) { a.Store = "gs://bucket" })},
		"allow Azure's store": {"archive: {store: 'azblob://container/'}\n",
			changed(func(a *Archive) { a.Store = "azblob://container/" })},
		"allow a database of PGHOST": {"archive: {index: 'postgres:///db'}\n",
			changed(func(a *Archive) { a.Index = "postgres:///db" })},
		"allow the long name of it": {"archive: {index: 'postgresql://h/db'}\n",
			changed(func(a *Archive) { a.Index = "postgresql://h/db" })},
		"allow another directory": {"archive: {store: 'file:///a%20b'}\n",
			changed(func(a *Archive) { a.Store = "file:///a%20b" })},
		"allow to delete of gone places": {"archive: {retention: [{name: gone, deletedNamespaces: true}]}\n",
			changed(func(a *Archive) { a.Retention = []Retention{{Name: "gone", DeletedNamespaces: true}} })},
		"allow to delete by namespace": {"archive: {retention: [{name: p, namespaces: [a]}]}\n",
			changed(func(a *Archive) { a.Retention = []Retention{{Name: "p", Namespaces: []string{"a"}}} })},
		"allow to delete by labels": {"archive: {retention: [{name: p, selector: '!keep'}]}\n",
			changed(func(a *Archive) { a.Retention = []Retention{{Name: "p", Selector: "!keep"}} })},
		"allow to delete by status": {"archive: {retention: [{name: p, status: [Failed]}]}\n",
			changed(func(a *Archive) { a.Retention = []Retention{{Name: "p", Status: []string{"Failed"}}} })},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(withImage + tc.section))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got.Archive); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseForbidsOfTheArchive(t *testing.T) {
	const (
		scheme   = "archive.store must be a URL that begins with file://, s3://, gs:// or azblob://"
		database = "archive.index must be a URL that begins with sqlite:// or postgres://"
		password = "archive.index must not hold a password: put it into the Secret indelible-archive-credentials, as " +
			"PGPASSWORD"
		secret = "archive.store must not hold credentials: put them into the Secret indelible-archive-credentials, as " +
			"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, or AZURE_STORAGE_ACCOUNT and " +
			"AZURE_STORAGE_KEY"
		slashes = "archive.store must have three slashes and an absolute path, such as file:///var/lib/indelible/archive"
		bucket  = "archive.store must name the bucket, such as s3://bucket?region=eu-central-1"
		folder  = "archive.store must give a folder in the bucket as prefix, such as s3://bucket?prefix=tekton/"
		label   = "must be 1 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit"
		keep    = "archive.keep must be forever, a duration such as 0s, 12h or 30d, at most 36500d, or a list of policies"
		after   = "archive.retention[0].after must be a duration such as 12h or 90d, more than 0 and at most 36500d"
		all     = "archive.retention[0] would delete every run as soon as it is archived: say after which time, or which runs"
		glob    = "must be the name of a namespace, in which * stands for any characters, ? for one and [ab] for one of some"
		labels  = "archive.retention[0].selector must be a label selector such as app=shop,tier in (test, trial)"
	)
	tests := map[string]struct{ archive, want string }{
		"forbid a list": {"[]",
			"archive must be an object with the fields cluster, store, index, logs, streams, keep, retention"},
		"forbid unknown fields": {"{bucket: b}",
			"archive.bucket is not a field; allowed are cluster, store, index, logs, streams, keep, retention"},
		"forbid an empty cluster": {"{cluster: ''}", "archive.cluster " + label},
		"forbid a capital letter": {"{cluster: Prod}", "archive.cluster " + label},
		"forbid 64 letters":       {"{cluster: " + strings.Repeat("a", 64) + "}", "archive.cluster " + label},
		"forbid a final hyphen":   {"{cluster: a-}", "archive.cluster " + label},
		"forbid a number":         {"{cluster: 7}", "archive.cluster " + label},

		"forbid a path":             {"{store: /var/lib}", scheme},
		"forbid another scheme":     {"{store: 'mem://'}", scheme},
		"forbid what is no URL":     {"{store: 's3://secret:%zz@b'}", "archive.store is not a URL"},
		"forbid white space":        {"{store: 'file:///a b'}", "archive.store must not contain white space"},
		"forbid keys in the store":  {"{store: 's3://AKIA:secret@bucket'}", secret},
		"forbid a key alone":        {"{store: 's3://AKIA@bucket'}", secret},
		"forbid a directory of two": {"{store: 'file://var/lib'}", slashes},
		"forbid a directory of one": {"{store: 'file:var/lib'}", slashes},
		"forbid a directory's prefix": {"{store: 'file:///a?prefix=b'}",
			"archive.store must not have parameters: a directory has none"},
		"forbid the root":                 {"{store: 'file:///'}", slashes},
		"forbid no bucket":                {"{store: 's3://?region=x'}", bucket},
		"forbid a folder that is ignored": {"{store: 's3://bucket/tekton'}", folder},
		"forbid a part after #":           {"{store: 'gs://bucket#a'}", "archive.store must not have a part after #"},

		"forbid another database":        {"{index: 'mysql://h/db'}", database},
		"forbid a store as index":        {"{index: 'file:///var/lib/index.db'}", database},
		"forbid a password":              {"{index: 'postgres://u:secret@h/db'}", password},
		"forbid an empty password":       {"{index: 'postgres://u:@h/db'}", password},
		"forbid a password in the query": {"{index: 'postgres://h/db?password=secret'}", password},
		"forbid the password of a key":   {"{index: 'postgres://h/db?sslpassword=secret'}", password},
		"forbid a database of two": {
			"{index: 'sqlite://var/index.db'}",
			"archive.index must have three slashes and an absolute path, such as sqlite:///var/lib/indelible/index.db",
		},
		"forbid a part after # of it": {"{index: 'postgres://h/db#a'}", "archive.index must not have a part after #"},

		"forbid other logs":           {"{logs: all}", "archive.logs must be one of follow, collect, none"},
		"forbid streams below 0":      {"{streams: -1}", "archive.streams must be a whole number from 0 to 10000"},
		"forbid streams over 10000":   {"{streams: 10001}", "archive.streams must be a whole number from 0 to 10000"},
		"forbid streams as text":      {"{streams: '200'}", "archive.streams must be a whole number from 0 to 10000"},
		"forbid half a stream":        {"{streams: 1.5}", "archive.streams must be a whole number from 0 to 10000"},
		"forbid a keep of no unit":    {"{keep: 10}", keep},
		"forbid a keep in weeks":      {"{keep: 2w}", keep},
		"forbid a keep below 0":       {"{keep: -1h}", keep},
		"forbid a keep over a bound":  {"{keep: 36501d}", keep},
		"forbid a keep that is never": {"{keep: never}", keep},
		"forbid a keep of no policy": {"{keep: []}",
			"archive.keep must not be an empty list: say forever if all runs are to stay"},
		"forbid a keep of nothing": {"{keep: [{name: a}]}",
			"archive.keep[0] must say for how long runs stay, or how many of the last"},
		"forbid a keep of no name": {"{keep: [{last: 1}]}",
			"archive.keep[0].name is required: logs name the policy by which a run leaves"},
		"forbid a last of all": {"{keep: [{name: a, for: forever, last: 3}]}",
			"archive.keep[0].last has no effect with for: forever"},
		"forbid to keep the last 0": {"{keep: [{name: a, last: 0}]}",
			"archive.keep[0].last must be a whole number from 1 to 10000"},
		"forbid a keep of bad policies, and tell all": {
			"{keep: [{name: a, for: x, status: [lost]}, {name: a, after: 1h}]}",
			"archive.keep[0].for must be forever or a duration such as 0s, 12h or 30d, at most 36500d\n" +
				"archive.keep[0].status[0] must be one of Succeeded, Failed, Cancelled\n" +
				"archive.keep[1].after is not a field; allowed are name, for, last, namespaces, selector, " +
				"status\narchive.keep[1].name is already the name of another policy",
		},

		"forbid a policy alone": {"{retention: {name: a}}", "archive.retention must be a list"},
		"forbid a policy of no name": {"{retention: [{after: 1h}]}",
			"archive.retention[0].name is required: logs and metrics name the policy that deletes"},
		"forbid an odd name": {"{retention: [{name: 'a b', after: 1h}]}", "archive.retention[0].name " + label},
		"forbid a name twice": {"{retention: [{name: a, after: 1h}, {name: a, after: 2h}]}",
			"archive.retention[1].name is already the name of another policy"},
		"forbid a misspelt field": {"{retention: [{name: a, after: 1h, namespace: x}]}",
			"archive.retention[0].namespace is not a field; allowed are name, after, namespaces, deletedNamespaces, selector, " +
				"status"},
		"forbid an age of 0":          {"{retention: [{name: a, after: 0s}]}", after},
		"forbid half a day":           {"{retention: [{name: a, after: 0.5d}]}", after},
		"forbid an age of no unit":    {"{retention: [{name: a, after: 90}]}", after},
		"forbid all at once":          {"{retention: [{name: a}]}", all},
		"forbid all namespaces":       {"{retention: [{name: a, namespaces: [x, '**']}]}", all},
		"forbid all statuses":         {"{retention: [{name: a, status: [Failed, Succeeded, Cancelled]}]}", all},
		"forbid all but no gone ones": {"{retention: [{name: a, deletedNamespaces: false}]}", all},
		"forbid an empty namespace": {"{retention: [{name: a, namespaces: ['']}]}",
			"archive.retention[0].namespaces[0] " +
				glob},
		"forbid capitals in namespace": {"{retention: [{name: a, namespaces: [a, Team]}]}",
			"archive.retention[0].namespaces[1] " + glob},
		"forbid half a bracket": {"{retention: [{name: a, namespaces: ['x[a']}]}",
			"archive.retention[0].namespaces[0] " +
				glob},
		"forbid no namespaces": {"{retention: [{name: a, after: 1h, namespaces: []}]}",
			"archive.retention[0].namespaces must be a list of at least one string"},
		"forbid namespaces as text": {"{retention: [{name: a, after: 1h, namespaces: a}]}",
			"archive.retention[0].namespaces must be a list of at least one string"},
		"forbid a number in a list": {"{retention: [{name: a, after: 1h, status: [Failed, 1]}]}",
			"archive.retention[0].status must be a list of at least one string"},
		"forbid another status": {"{retention: [{name: a, status: [failed]}]}",
			"archive.retention[0].status[0] must be one of Succeeded, Failed, Cancelled"},
		"forbid a status twice": {"{retention: [{name: a, status: [Failed, Failed]}]}",
			"archive.retention[0].status[1] is already in the list"},
		"forbid a yes that is text": {"{retention: [{name: a, deletedNamespaces: 'yes'}]}",
			"archive.retention[0].deletedNamespaces must be true or false"},
		"forbid a broken selector": {"{retention: [{name: a, selector: 'a=='}, {name: b, selector: 'in in in'}]}",
			strings.Replace(labels,
				"[0]", "[1]", 1)},
		"forbid an empty selector": {"{retention: [{name: a, after: 1h, selector: ''}]}", labels},
		"forbid a selector object": {"{retention: [{name: a, selector: {app: shop}}]}", labels},
		"forbid several things, and tell them together": {
			"{cluster: A, streams: x, retention: [{name: a, after: x, status: [lost]}, 1]}",
			"archive.cluster " + label + "\narchive.streams must be a whole number from 0 to 10000\n" + after +
				"\narchive.retention[0].status[0] must be one of Succeeded, Failed, Cancelled\n" +
				"archive.retention[1] must be an object with the fields name, after, namespaces, deletedNamespaces, selector, " +
				"status\n" +
				"archive.retention[1].name is required: logs and metrics name the policy that deletes",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := Parse([]byte(withImage + "archive: " + tc.archive + "\n"))
			if err == nil {
				t.Fatalf("allowed: %+v", c.Archive)
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Error("the message repeats a secret")
			}
		})
	}
}

// The archive's own package decides which names of clusters there are; this one must not be linked
// with it.
func TestClusterNamesAreThoseOfTheArchive(t *testing.T) {
	for _, name := range []string{"a", "a-b", "0", "-a", "a-", "A", "a.b", "a_b", "é", "", strings.Repeat("a", 63),
		strings.Repeat("a", 64),
		"a\n"} {
		_, want := layout.ParseCluster(name)
		r := &reader{}
		r.label(new(string), "archive.cluster", name)
		if (want == nil) != (len(r.problems) == 0) {
			t.Errorf("%q: the archive says %v, the configuration %v", name, want, r.problems)
		}
	}
}

// kept is the short form's policy.
func kept(d time.Duration) []Keep { return []Keep{{Name: "keep", For: d}} }
