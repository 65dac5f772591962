package layout

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	segmentExtension = ".jsonl.gz"
	holdExtension    = ".json" // readable and writable by people
)

var segmentName = regexp.MustCompile(`^([a-z0-9]{8,32})\.([1-9][0-9]{0,8})\.jsonl\.gz$`)

// HourOf returns the hour of a run's creation in UTC, under which its objects are stored.
func HourOf(r Run) time.Time { return r.Created.UTC().Truncate(time.Hour) }

// CommitsIn returns the prefix of the commits of runs created in an hour.
func (c Cluster) CommitsIn(at time.Time) string { return c.Commits() + at.UTC().Format(hour) + "/" }

// Segments returns the prefix of all segments of the cluster.
func (c Cluster) Segments() string { return root + string(c) + "/segments/" }

// SegmentsIn returns the prefix of the segments with runs created in an hour.
func (c Cluster) SegmentsIn(at time.Time) string { return c.Segments() + at.UTC().Format(hour) + "/" }

// Segment returns the key of a segment with copies of 1 to 999999999 commits of runs created in an
// hour. writer is random, as for parts.
func (c Cluster) Segment(at time.Time, writer string, commits int) (string, error) {
	name := writer + "." + strconv.Itoa(commits) + segmentExtension
	if !segmentName.MatchString(name) {
		return "", fmt.Errorf("segment %s: must be 8 to 32 lower-case letters and digits, and 1 to 999999999 commits",
			name)
	}
	if err := (Run{Created: at, UID: "0"}).check(); err != nil {
		return "", err
	}
	return c.SegmentsIn(at) + name, nil
}

// ParseSegment is the reverse of Segment. at is the start of the hour.
func ParseSegment(key string) (cluster Cluster, at time.Time, writer string, commits int, err error) {
	cluster, rest, err := split(key, "segments")
	if err != nil {
		return "", time.Time{}, "", 0, err
	}
	folder, name := cutLast(rest)
	match := segmentName.FindStringSubmatch(name)
	at, err = time.Parse(hour, folder)
	if err != nil || match == nil {
		return "", time.Time{}, "", 0, fmt.Errorf("key %s is not that of a segment", key)
	}
	writer = match[1]
	if commits, err = strconv.Atoi(match[2]); err != nil {
		return "", time.Time{}, "", 0, fmt.Errorf("key %s: %w", key, err)
	}
	if again, err := cluster.Segment(at, writer, commits); err != nil || again != key {
		return "", time.Time{}, "", 0, errors.Join(fmt.Errorf("key %s is not that of a segment", key), err)
	}
	return cluster, at, writer, commits, nil
}

// Holds returns the prefix of all holds on runs of the cluster.
func (c Cluster) Holds() string { return root + string(c) + "/holds/" }

// Hold returns the key of the hold on a run.
func (c Cluster) Hold(r Run) (string, error) {
	key, err := c.Commit(r)
	if err != nil {
		return "", err
	}
	return c.Holds() + strings.TrimPrefix(strings.TrimSuffix(key, extension), c.Commits()) + holdExtension, nil
}

// ParseHold is the reverse of Hold.
func ParseHold(key string) (Cluster, Run, error) {
	cluster, rest, err := split(key, "holds")
	if err != nil {
		return "", Run{}, err
	}
	_, run, err := ParseCommit(cluster.Commits() + strings.TrimSuffix(rest, holdExtension) + extension)
	if err != nil || !strings.HasSuffix(rest, holdExtension) {
		return "", Run{}, errors.Join(fmt.Errorf("key %s is not that of a hold", key), err)
	}
	return cluster, run, nil
}

// Deletions returns the prefix of all marks of deletions of runs of the cluster.
func (c Cluster) Deletions() string { return root + string(c) + "/deletions/" }

// DeletionsOf returns the prefix of the marks that a run is being deleted.
func (c Cluster) DeletionsOf(r Run) (string, error) {
	key, err := c.Commit(r)
	if err != nil {
		return "", err
	}
	return c.Deletions() + strings.TrimPrefix(strings.TrimSuffix(key, extension), c.Commits()) + ".", nil
}

// Deletion returns the key of a mark. writer is random, as for parts: concurrent deletions of a run
// remove only their own marks.
func (c Cluster) Deletion(r Run, writer string) (string, error) {
	if !writerText.MatchString(writer) {
		return "", fmt.Errorf("writer %q: must be 8 to 32 lower-case letters and digits", writer)
	}
	prefix, err := c.DeletionsOf(r)
	return prefix + writer, err
}
