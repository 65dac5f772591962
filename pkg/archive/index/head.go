package index

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// recordHead has the raw JSON of the fields of a run that this package reads.
type recordHead struct {
	apiVersion, kind, name, namespace, uid, created, started, ended []byte
	labels, annotations, owners, conditions, taskSpec, pipelineSpec []byte
}

var (
	errTwice = errors.New("a field occurs twice, or its name has escapes")
	errShape = errors.New("a label is not a string, or its key has escapes")
)

// read fails if columns cannot represent the record.
func (h *recordHead) read(record []byte) error {
	var metadata, status []byte
	return errors.Join(
		fields(record, map[string]*[]byte{"apiVersion": &h.apiVersion, "kind": &h.kind, "metadata": &metadata,
			"status": &status}),
		fields(metadata, map[string]*[]byte{
			"name": &h.name, "namespace": &h.namespace, "uid": &h.uid, "creationTimestamp": &h.created,
			"labels": &h.labels, "annotations": &h.annotations, "ownerReferences": &h.owners,
		}),
		fields(status, map[string]*[]byte{
			"conditions": &h.conditions, "startTime": &h.started, "completionTime": &h.ended,
			"taskSpec": &h.taskSpec, "pipelineSpec": &h.pipelineSpec,
		}))
}

// fields finds some fields of an object, which may be missing or null.
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

// textOf decodes a JSON string. It is not valid for anything else.
func textOf(raw []byte) (text sql.NullString) {
	if len(raw) > 0 && raw[0] == '"' {
		var err error
		text.String, err = jsonscan.DecodeText(raw)
		text.Valid = err == nil
	}
	return text
}

// secondsOf decodes a time of Kubernetes, which has whole seconds. ok is false for what a column
// cannot represent.
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

// parent returns the UID of the PipelineRun that created the run, empty if none did.
func (h *recordHead) parent() string {
	var all owners
	if len(h.owners) == 0 || json.Unmarshal(h.owners, &all) != nil {
		return ""
	}
	return all.parent()
}
