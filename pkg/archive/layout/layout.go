// Package layout builds and parses the keys of all objects of the archive. Its tests specify the
// keys. The content of objects is defined by pkg/archive/manifest and others;
// docs/archive-format.md describes both for people.
//
//	clusters/<cluster>/commits/2026/11/20/10/20261120T104211Z.<uid>.json.gz
//	                                          one for each archived run, written last
//	clusters/<cluster>/parts/2026/11/20/10/<uid>.<writer>.<part>.zst
//	                                          what a commit refers to
//	clusters/<cluster>/segments/2026/11/20/10/<writer>.<commits>.jsonl.gz
//	                                          copies of many commits and records, a cache
//	clusters/<cluster>/holds/2026/11/20/10/20261120T104211Z.<uid>.json
//	                                          while it exists, the run is not deleted
//	clusters/<cluster>/deletions/2026/11/20/10/20261120T104211Z.<uid>.<writer>
//	                                          while it exists, the run is being deleted
//
// The key of a commit depends only on the run, so that only one of several archivers, or of an
// archiver and its successor, commits. Keys of parts, segments and deletion marks contain a random
// writer, so that they never collide; a killed archiver leaves parts that no commit names, which
// fsck finds. Holds and deletion marks have keys like their run's commit. Objects are never
// changed.
//
// Keys contain the time of the run's creation, in UTC: it never changes, and everything that knows
// the run knows it. Keys sort by it, and a day or an hour can be listed by prefix.
package layout

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Cluster is the name of a cluster: 1 to 63 lower-case letters, digits and hyphens, beginning and
// ending with a letter or digit (RFC 1123). Its methods return keys and prefixes of the cluster's
// objects.
type Cluster string

var (
	clusterName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	uidText     = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	writerText  = regexp.MustCompile(`^[a-z0-9]{8,32}$`)
	partText    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}(\.[A-Za-z0-9_-]{1,20})*$`)
)

const (
	root      = "clusters/"
	hour      = "2006/01/02/15"
	stamp     = "20060102T150405Z"
	extension = ".json.gz"
	// Parts have partExtension; those of archivers before 2026-12 have gzipExtension.
	partExtension, gzipExtension = ".zst", ".gz"
)

// ParseCluster checks the name of a cluster.
func ParseCluster(name string) (Cluster, error) {
	if !clusterName.MatchString(name) {
		return "", fmt.Errorf(
			"cluster %q: must be 1 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit", name)
	}
	return Cluster(name), nil
}

// Run is what a run's keys are made of.
type Run struct {
	// Created is metadata.creationTimestamp, which has whole seconds.
	Created time.Time
	// UID is metadata.uid.
	UID string
}

func (r Run) check() error {
	if !uidText.MatchString(r.UID) {
		return fmt.Errorf("uid %q: must be 1 to 64 letters, digits and hyphens", r.UID)
	}
	if year := r.Created.UTC().Year(); year < 2000 || year > 9999 {
		return fmt.Errorf("creation time %s of run %s: must be in the years 2000 to 9999",
			r.Created.UTC().Format(time.RFC3339), r.UID)
	}
	return nil
}

// Commit returns the key of a run's commit.
func (c Cluster) Commit(r Run) (string, error) {
	if err := r.check(); err != nil {
		return "", err
	}
	at := r.Created.UTC()
	return c.Commits() + at.Format(hour) + "/" + at.Format(stamp) + "." + r.UID + extension, nil
}

// Commits returns the prefix of all commits of the cluster.
func (c Cluster) Commits() string { return root + string(c) + "/commits/" }

// CommitsOn returns the prefix of the commits of runs created on a day, in UTC.
func (c Cluster) CommitsOn(day time.Time) string {
	return c.Commits() + day.UTC().Format("2006/01/02/")
}

// ParseCommit is the reverse of Commit.
func ParseCommit(key string) (Cluster, Run, error) {
	cluster, rest, err := split(key, "commits")
	if err != nil {
		return "", Run{}, err
	}
	folder, name := cutLast(rest)
	at, uid, _ := strings.Cut(strings.TrimSuffix(name, extension), ".")
	created, err := time.Parse(stamp, at)
	if err != nil {
		return "", Run{}, fmt.Errorf("key %s: %q is not a time like %s", key, at, stamp)
	}
	run := Run{Created: created, UID: uid}
	if again, err := cluster.Commit(run); err != nil || again != key {
		return "", Run{}, errors.Join(fmt.Errorf("key %s is not that of a commit in %s", key, folder), err)
	}
	return cluster, run, nil
}

// Part returns the key of a part of a run. part is a name such as record.json or
// log-0-step-build.txt. writer is random, 8 to 32 lower-case letters and digits, and the same for
// all parts of one attempt to archive a run.
func (c Cluster) Part(r Run, writer, part string) (string, error) {
	if err := r.check(); err != nil {
		return "", err
	}
	if !writerText.MatchString(writer) {
		return "", fmt.Errorf("writer %q: must be 8 to 32 lower-case letters and digits", writer)
	}
	if !partText.MatchString(part) {
		return "", fmt.Errorf("part %q: must be a name of letters, digits, - and _, with an extension", part)
	}
	return c.Parts() + r.Created.UTC().Format(hour) + "/" + r.UID + "." + writer + "." + part + partExtension, nil
}

// Parts returns the prefix of all parts of the cluster.
func (c Cluster) Parts() string { return root + string(c) + "/parts/" }

// PartsOf returns the prefix of all parts of a run, by any writer.
func (c Cluster) PartsOf(r Run) (string, error) {
	if err := r.check(); err != nil {
		return "", err
	}
	return c.Parts() + r.Created.UTC().Format(hour) + "/" + r.UID + ".", nil
}

// ParsePart is the reverse of Part, except that a key has only the hour of the run's creation
// (PartHour).
func ParsePart(key string) (cluster Cluster, uid, writer, part string, err error) {
	cluster, rest, err := split(key, "parts")
	if err != nil {
		return "", "", "", "", err
	}
	folder, name := cutLast(rest)
	uid, name, _ = strings.Cut(name, ".")
	writer, name, _ = strings.Cut(name, ".")
	part, own := strings.CutSuffix(name, partExtension)
	as := key
	if !own { // of the first archivers
		if part, own = strings.CutSuffix(name, gzipExtension); !own {
			return "", "", "", "", fmt.Errorf("key %s is not that of a part", key)
		}
		as = strings.TrimSuffix(key, gzipExtension) + partExtension
	}
	at, err := time.Parse(hour, folder)
	if err != nil {
		return "", "", "", "", fmt.Errorf("key %s: %q is not an hour like %s", key, folder, hour)
	}
	if again, err := cluster.Part(Run{Created: at, UID: uid}, writer, part); err != nil || again != as {
		return "", "", "", "", errors.Join(fmt.Errorf("key %s is not that of a part", key), err)
	}
	return cluster, uid, writer, part, nil
}

// PartHour returns the hour in which a part's run was created.
func PartHour(key string) (time.Time, error) {
	if _, _, _, _, err := ParsePart(key); err != nil {
		return time.Time{}, err
	}
	_, rest, _ := split(key, "parts")
	folder, _ := cutLast(rest)
	return time.Parse(hour, folder)
}

func split(key, class string) (Cluster, string, error) {
	segments := strings.SplitN(key, "/", 4)
	if len(segments) != 4 || segments[0]+"/" != root || segments[2] != class {
		return "", "", fmt.Errorf("key %s is not one of %s", key, class)
	}
	cluster, err := ParseCluster(segments[1])
	if err != nil {
		return "", "", fmt.Errorf("key %s: %w", key, err)
	}
	return cluster, segments[3], nil
}

// cutLast cuts a key around its last slash.
func cutLast(key string) (before, after string) {
	if i := strings.LastIndexByte(key, '/'); i >= 0 {
		return key[:i], key[i+1:]
	}
	return "", key
}
