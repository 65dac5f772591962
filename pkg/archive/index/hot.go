package index

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// Flags of a row.
const (
	// flagLog and flagEvents say that it has records of its log and of its events beside it.
	flagLog = 1 << iota
	flagEvents
	// flagRoot says that nothing owns it: its Result's summary is about it.
	flagRoot
	// flagAnnotations says that it has annotations for its Result or its summary.
	flagAnnotations
)

// labelRepository is the annotation that Pipelines as Code names a repository by, and labelPipeline Tekton's of a Pipeline: what summaries group by.
const (
	labelPipeline        = "tekton.dev/pipeline"
	annotationRepository = "pipelinesascode.tekton.dev/repository"
)

// unindexed are labels that good as every run has, with the same value.
var unindexed = []string{"app.kubernetes.io/managed-by", "tekton.dev/memberOf"}

// hot is what lists and summaries want to know of a record without unpacking it.
type hot struct {
	namespace, kind string // a data type: apiVersion and kind with a dot between
	status, reason  sql.NullString
	// hasCreated says that the record says when it was created.
	hasCreated     bool
	odd, tool      bool
	flags          int64
	created        int64
	started, ended sql.NullInt64
	pipeline, repo sql.NullString
	labels         []int64
}

// group is what rows have in common by which they are listed and counted.
type group struct {
	cluster, namespace, kind, status, reason string
	tool                                     bool
}

// absent is how a group has a text that is not there, odd one that lists cannot rely on. A text that is there begins with an equals sign.
const absent, odd = "", "?"

// maxReason is what a reason may have to be one of a group; a longer one is not what Tekton writes.
const maxReason = 64

func (h *hot) group(cluster string) group {
	g := group{cluster: cluster, namespace: h.namespace, kind: h.kind, status: column(h.status), reason: column(h.reason), tool: h.tool}
	if h.isOdd() {
		g.status, g.reason = odd, odd
	}
	return g
}

func (h *hot) isOdd() bool {
	return h.odd || len(h.reason.String) > maxReason || len(h.status.String) > maxReason
}

func column(text sql.NullString) string {
	if !text.Valid {
		return absent
	}
	return "=" + text.String
}

// recordHead is what of a run's JSON matters here, as it is written there.
type recordHead struct {
	apiVersion, kind, name, namespace, uid, created, started, ended []byte
	labels, annotations, owners, conditions, taskSpec, pipelineSpec []byte
}

var (
	errTwice = errors.New("a field is there twice, or written with escapes")
	errShape = errors.New("it is not built as a run is")
)

// read fails where the columns of a row could not stand for the record.
func (h *recordHead) read(record []byte) error {
	var metadata, status []byte
	return errors.Join(
		fields(record, map[string]*[]byte{"apiVersion": &h.apiVersion, "kind": &h.kind, "metadata": &metadata, "status": &status}),
		fields(metadata, map[string]*[]byte{
			"name": &h.name, "namespace": &h.namespace, "uid": &h.uid, "creationTimestamp": &h.created,
			"labels": &h.labels, "annotations": &h.annotations, "ownerReferences": &h.owners,
		}),
		fields(status, map[string]*[]byte{
			"conditions": &h.conditions, "startTime": &h.started, "completionTime": &h.ended,
			"taskSpec": &h.taskSpec, "pipelineSpec": &h.pipelineSpec,
		}))
}

// fields notes where an object, or nothing, has some of its fields.
func fields(object []byte, wanted map[string]*[]byte) error {
	if len(object) == 0 || isNull(object) {
		return nil
	}
	return jsonscan.Members(object, func(key []byte, value jsonscan.Span) error {
		if bytes.IndexByte(key, '\\') >= 0 {
			return errTwice
		}
		to := wanted[string(key)]
		if to == nil {
			return nil
		}
		if *to != nil {
			return errTwice
		}
		*to = value.Of(object)
		return nil
	})
}

func isNull(raw []byte) bool { return string(raw) == "null" }

// textOf returns a JSON text's string.
func textOf(raw []byte) (text sql.NullString) {
	if len(raw) > 0 && raw[0] == '"' {
		var err error
		text.String, err = jsonscan.DecodeText(raw)
		text.Valid = err == nil
	}
	return text
}

// secondsOf returns a time of Kubernetes, which has seconds; ok is false for what a column cannot stand for.
func secondsOf(raw []byte) (seconds sql.NullInt64, ok bool) {
	if len(raw) == 0 || isNull(raw) {
		return seconds, true
	}
	text := textOf(raw)
	at, err := time.Parse(time.RFC3339, text.String)
	if err != nil || at.UTC().Format(time.RFC3339) != text.String {
		return seconds, false
	}
	return sql.NullInt64{Int64: at.Unix(), Valid: true}, true
}

// heat finds out what is hot of a record. What the columns of a row could not stand for makes it odd: such a row is looked into.
func heat(cluster, namespace string, record []byte) (h hot, head recordHead) {
	h.namespace = namespace
	h.odd = head.read(record) != nil
	created, ok := secondsOf(head.created)
	h.created, h.hasCreated = created.Int64, ok && created.Valid
	if h.started, ok = secondsOf(head.started); !ok {
		h.odd = true
	}
	if h.ended, ok = secondsOf(head.ended); !ok {
		h.odd = true
	}
	h.condition(head.conditions)
	if owners := head.owners; len(owners) == 0 || isNull(owners) || string(owners) == "[]" {
		h.flags |= flagRoot
	}
	annotations := map[string]*[]byte{annotationRepository: new([]byte)}
	if fields(head.annotations, annotations) != nil {
		h.odd = true
	}
	h.repo = textOf(*annotations[annotationRepository])
	h.label(cluster, head.labels)
	return h, head
}

func (h *hot) label(cluster string, labels []byte) {
	if len(labels) == 0 || isNull(labels) {
		return
	}
	err := jsonscan.Members(labels, func(rawKey []byte, at jsonscan.Span) error {
		key, value := string(rawKey), textOf(at.Of(labels))
		switch {
		case !value.Valid || strings.Contains(key, `\`):
			return errShape
		case key == labelPipeline:
			h.pipeline = value
		}
		if !slices.Contains(unindexed, key) {
			h.labels = append(h.labels, pairOf(cluster, h.namespace, key, value.String))
		}
		return nil
	})
	if err != nil {
		h.odd = true
	}
	slices.Sort(h.labels)
	h.labels = slices.Compact(h.labels)
}

// condition takes the first one, by which filters know a run's outcome.
func (h *hot) condition(conditions []byte) {
	if len(conditions) == 0 || isNull(conditions) {
		return
	}
	var first []byte
	err := jsonscan.Elements(conditions, func(element []byte) error {
		if first == nil {
			first = element
		}
		return nil
	})
	var status, reason []byte
	if err == nil {
		err = fields(first, map[string]*[]byte{"status": &status, "reason": &reason})
	}
	h.status, h.reason = textOf(status), textOf(reason)
	if err != nil || h.status.Valid == (len(status) == 0 || isNull(status)) || h.reason.Valid == (len(reason) == 0 || isNull(reason)) {
		h.odd = true
	}
}

// ofRun completes it with what its commit says. Where record and commit differ the row is odd.
func (h *hot) ofRun(c *manifest.Commit, head *recordHead) {
	r := &c.Run
	h.kind = r.APIVersion + "." + r.Kind
	same := h.hasCreated && textOf(head.apiVersion).String == r.APIVersion && textOf(head.kind).String == r.Kind && textOf(head.name).String == r.Name &&
		textOf(head.namespace).String == r.Namespace && textOf(head.uid).String == r.UID && h.created == r.Created.Unix() &&
		h.ended.Valid == (r.Completed != nil) && (r.Completed == nil || r.Completed.Unix() == h.ended.Int64)
	h.odd = h.odd || !same
	h.created, h.ended = r.Created.Unix(), sql.NullInt64{} // as the columns have it
	if r.Completed != nil {
		h.ended = sql.NullInt64{Int64: r.Completed.Unix(), Valid: true}
	}
	for _, p := range c.Parts {
		switch {
		case p.State == manifest.Missing:
		case p.Type == manifest.Log:
			h.flags |= flagLog
		case p.Type == manifest.Events:
			h.flags |= flagEvents
		}
	}
	if r.Kind == pipelineRun { // its log is its TaskRuns'
		h.flags |= flagLog
	}
	if len(r.ResultAnnotations) > 0 || len(r.SummaryAnnotations) > 0 {
		h.flags |= flagAnnotations
	}
}

// pairOf is what a label is found by within a namespace: 8 bytes of a digest. Whoever finds a run by it compares the label, so it does
// not matter that two might share one.
func pairOf(cluster, namespace, key, value string) int64 {
	sum := sha256.Sum256([]byte(strings.Join([]string{cluster, namespace, key, value}, "\x00")))
	return int64(binary.BigEndian.Uint64(sum[:])) //nolint:gosec // all bits count
}

// parent returns the UID of the PipelineRun that made the run, empty if none did.
func (h *recordHead) parent() string {
	var all owners
	if len(h.owners) == 0 || json.Unmarshal(h.owners, &all) != nil {
		return ""
	}
	return all.parent()
}

// clean makes texts that Postgres can store. What it changes the columns cannot stand for.
func (h *hot) clean() {
	for _, text := range []*string{&h.namespace, &h.kind, &h.status.String, &h.reason.String, &h.pipeline.String, &h.repo.String} {
		if cleaned := clean(*text); cleaned != *text {
			*text, h.odd = cleaned, true
		}
	}
}
