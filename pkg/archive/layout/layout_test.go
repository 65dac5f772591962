package layout

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

const (
	uid    = "6e21a8a5-bd27-4f4b-a14b-0f4e4e2c3a11"
	writer = "k3v9x2m4q8"
)

var run = Run{Created: time.Date(2026, 11, 20, 11, 42, 11, 0, time.FixedZone("CET", 3600)), UID: uid}

// The format: these are keys in existing archives.
func TestKeys(t *testing.T) {
	for name, test := range map[string]struct {
		key  func() (string, error)
		want string
	}{
		"a commit": {
			func() (string, error) { return Cluster("prod-1").Commit(run) },
			"clusters/prod-1/commits/2026/11/20/10/20261120T104211Z." + uid + ".json.gz",
		},
		"a record": {
			func() (string, error) { return Cluster("prod-1").Part(run, writer, "record.json") },
			"clusters/prod-1/parts/2026/11/20/10/" + uid + "." + writer + ".record.json.zst",
		},
		"a step's log": {
			func() (string, error) { return Cluster("c").Part(run, writer, "log-0-step-build.txt") },
			"clusters/c/parts/2026/11/20/10/" + uid + "." + writer + ".log-0-step-build.txt.zst",
		},
		"a run's parts": {
			func() (string, error) { return Cluster("c").PartsOf(run) }, "clusters/c/parts/2026/11/20/10/" + uid + ".",
		},
		"a segment": {
			func() (string, error) { return Cluster("c").Segment(run.Created, writer, 812) },
			"clusters/c/segments/2026/11/20/10/" + writer + ".812.jsonl.gz",
		},
		"a hold": {
			func() (string, error) { return Cluster("c").Hold(run) },
			"clusters/c/holds/2026/11/20/10/20261120T104211Z." + uid + ".json",
		},
		"a deletion": {
			func() (string, error) { return Cluster("c").Deletion(run, writer) },
			"clusters/c/deletions/2026/11/20/10/20261120T104211Z." + uid + "." + writer,
		},
		"its deletions": {
			func() (string, error) { return Cluster("c").DeletionsOf(run) },
			"clusters/c/deletions/2026/11/20/10/20261120T104211Z." + uid + ".",
		},
		"an hour": {
			func() (string, error) { return Cluster("c").CommitsIn(run.Created), nil },
			"clusters/c/commits/2026/11/20/10/",
		},
		"its segments": {
			func() (string, error) { return Cluster("c").SegmentsIn(HourOf(run)), nil },
			"clusters/c/segments/2026/11/20/10/",
		},
		"a day": {
			func() (string, error) { return Cluster("c").CommitsOn(run.Created), nil },
			"clusters/c/commits/2026/11/20/",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.key()
			if err != nil || got != test.want {
				t.Fatalf("got %s, %v; want %s", got, err, test.want)
			}
			if err := store.CheckKey(strings.TrimRight(got, "/.")); err != nil {
				t.Errorf("no store takes it: %v", err)
			}
		})
	}
}

func TestParseIsTheReverse(t *testing.T) {
	key, _ := Cluster("c").Commit(run)
	cluster, got, err := ParseCommit(key)
	if err != nil || cluster != "c" || got.UID != uid || !got.Created.Equal(run.Created) {
		t.Errorf("ParseCommit(%s): %s, %+v, %v", key, cluster, got, err)
	}
	key, _ = Cluster("c").Part(run, writer, "log-12-step-a_b.txt")
	cluster, gotUID, gotWriter, part, err := ParsePart(key)
	if err != nil || cluster != "c" || gotUID != uid || gotWriter != writer || part != "log-12-step-a_b.txt" {
		t.Errorf("ParsePart(%s): %s, %s, %s, %s, %v", key, cluster, gotUID, gotWriter, part, err)
	}
	key, _ = Cluster("c").Segment(run.Created, writer, 812)
	cluster, at, gotWriter, commits, err := ParseSegment(key)
	if err != nil || cluster != "c" || !at.Equal(HourOf(run)) || gotWriter != writer || commits != 812 {
		t.Errorf("ParseSegment(%s): %s, %s, %s, %d, %v", key, cluster, at, gotWriter, commits, err)
	}
	key, _ = Cluster("c").Hold(run)
	cluster, got, err = ParseHold(key)
	if err != nil || cluster != "c" || got.UID != uid || !got.Created.Equal(run.Created) {
		t.Errorf("ParseHold(%s): %s, %+v, %v", key, cluster, got, err)
	}
}

func TestKeysSortByCreation(t *testing.T) {
	times := []string{"2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z", "2026-01-01T09:59:59Z", "2026-01-01T10:00:00Z",
		"2026-01-02T00:00:00Z", "2026-10-01T00:00:00Z"}
	var keys []string
	for i, text := range times {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		key, err := Cluster("c").Commit(Run{Created: at, UID: string(rune('z' - i))})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	if !slices.IsSorted(keys) {
		t.Errorf("not sorted: %q", keys)
	}
}

func TestForbidden(t *testing.T) {
	for name, cluster := range map[string]string{"empty": "", "a slash": "a/b", "a dot": "..", "upper case": "Prod",
		"a hyphen last": "a-", "64 characters": strings.Repeat("a", 64)} {
		if _, err := ParseCluster(cluster); err == nil {
			t.Errorf("cluster with %s allowed", name)
		}
	}
	for name, run := range map[string]Run{
		"no uid": {Created: run.Created}, "a dot in its uid": {Created: run.Created, UID: "a.b"},
		"a slash in its uid": {Created: run.Created, UID: "../x"}, "no time": {UID: uid},
	} {
		if key, err := Cluster("c").Commit(run); err == nil {
			t.Errorf("run with %s has the key %s", name, key)
		}
		if _, err := Cluster("c").PartsOf(run); err == nil {
			t.Errorf("run with %s has parts", name)
		}
	}
	for _, part := range []string{"", ".json", "a/b.json", "a b.txt", "-a.txt", "a..b", strings.Repeat("a", 150)} {
		if key, err := Cluster("c").Part(run, writer, part); err == nil {
			t.Errorf("part %q has the key %s", part, key)
		}
	}
	if _, err := Cluster("c").Part(run, "SHORT", "record.json"); err == nil {
		t.Error("writer SHORT allowed")
	}
	if key, err := Cluster("c").Deletion(run, "SHORT"); err == nil {
		t.Errorf("writer SHORT has the key %s", key)
	}
	for _, n := range []int{-1, 0, 1_000_000_000} {
		if key, err := Cluster("c").Segment(run.Created, writer, n); err == nil {
			t.Errorf("a segment of %d commits has the key %s", n, key)
		}
	}
	if key, err := Cluster("c").Segment(time.Time{}, writer, 1); err == nil {
		t.Errorf("a segment of no time has the key %s", key)
	}
}

// FuzzParse: a key that parses equals the key built from the result, and every store accepts it.
func FuzzParse(f *testing.F) {
	commit, _ := Cluster("c").Commit(run)
	part, _ := Cluster("c").Part(run, writer, "record.json")
	segment, _ := Cluster("c").Segment(run.Created, writer, 9)
	hold, _ := Cluster("c").Hold(run)
	f.Add(segment)
	f.Add(hold)
	f.Add("clusters/c/segments/2026/11/20/10/" + writer + ".09.jsonl.gz")
	f.Add(commit)
	f.Add(part)
	f.Add("clusters/c/commits/2026/11/20/11/20261120T104211Z." + uid + ".json.gz") // the hour differs
	f.Add("clusters/c/parts/2026/11/20/10/a.b.c.d")
	f.Fuzz(func(t *testing.T, key string) {
		if cluster, run, err := ParseCommit(key); err == nil {
			if again, err := cluster.Commit(run); again != key || err != nil || store.CheckKey(key) != nil {
				t.Errorf("%q parses and becomes %q, %v", key, again, err)
			}
		}
		if cluster, run, err := ParseHold(key); err == nil {
			if again, err := cluster.Hold(run); again != key || err != nil || store.CheckKey(key) != nil {
				t.Errorf("%q parses and becomes %q, %v", key, again, err)
			}
		}
		if cluster, at, writer, n, err := ParseSegment(key); err == nil {
			if again, err := cluster.Segment(at, writer, n); again != key || err != nil || store.CheckKey(key) != nil {
				t.Errorf("%q parses and becomes %q, %v", key, again, err)
			}
		}
		if _, _, _, _, err := ParsePart(key); err == nil && store.CheckKey(key) != nil {
			t.Errorf("%q parses and no store takes it", key)
		}
	})
}

// Keys of parts of the first archivers are parsed, too.
func TestPartsInGzip(t *testing.T) {
	key := "clusters/c/parts/2026/11/20/10/" + uid + ".k3v9x2m4q8.log-0-step-build.txt.gz"
	cluster, of, writer, part, err := ParsePart(key)
	if err != nil || cluster != "c" || of != uid || writer != "k3v9x2m4q8" || part != "log-0-step-build.txt" {
		t.Errorf("got %s, %s, %s, %s, %v", cluster, of, writer, part, err)
	}
	for _, other := range []string{
		strings.Replace(key, "log-0-step-build.txt", "../x", 1), strings.TrimSuffix(key, ".gz"),
		strings.TrimSuffix(key, ".gz") + ".bak", key + ".tmp1",
	} {
		if _, _, _, _, err := ParsePart(other); err == nil {
			t.Errorf("%s is taken for a part", other)
		}
	}
}
