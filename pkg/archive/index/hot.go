package index

import (
	"database/sql"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// Flags of a row.
const (
	// flagLog and flagEvents: it has a record for its log, or for its events.
	flagLog = 1 << iota
	flagEvents
	// flagRoot: it has no owner, so its Result's summary is about it.
	flagRoot
	// flagAnnotations: it has annotations for its Result or for its summary.
	flagAnnotations
)

// Summaries group by labelPipeline, Tekton's label, and annotationRepository, of Pipelines as Code.
const (
	labelPipeline        = "tekton.dev/pipeline"
	annotationRepository = "pipelinesascode.tekton.dev/repository"
)

// hot has what lists and summaries need of a record without unpacking it.
type hot struct {
	namespace, kind string // a data type: apiVersion and kind, joined by a dot
	status, reason  sql.NullString
	// hasCreated: the record has a valid creation time.
	hasCreated     bool
	odd, tool      bool
	flags          int64
	created        int64
	started, ended sql.NullInt64
	pipeline, repo sql.NullString
	labels         []int64
}

// group is what rows have in common that they are listed and counted by.
type group struct {
	cluster, namespace, kind, status, reason string
	tool                                     bool
}

// How a group has a status or reason: absent if there is none, odd if lists cannot rely on it, else
// the text after an equals sign.
const absent, odd = "", "?"

// maxReason bounds status and reason of a group, in bytes. Tekton writes no longer ones.
const maxReason = 64

func (h *hot) group(cluster string) group {
	g := group{cluster: cluster, namespace: h.namespace, kind: h.kind, status: column(h.status),
		reason: column(h.reason), tool: h.tool}
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

// heat collects what is hot of a record. A record that columns cannot represent is odd: filters
// read it.
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

// condition takes status and reason of the first condition, by which filters know a run's outcome.
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
	if err != nil || h.status.Valid == (len(status) == 0 || isNull(status)) ||
		h.reason.Valid == (len(reason) == 0 || isNull(reason)) {
		h.odd = true
	}
}

// ofRun adds what the commit says. A row whose record and commit differ is odd.
func (h *hot) ofRun(c *manifest.Commit, head *recordHead) {
	r := &c.Run
	h.kind = r.APIVersion + "." + r.Kind
	same := h.hasCreated && textOf(head.apiVersion).String == r.APIVersion && textOf(head.kind).String == r.Kind &&
		textOf(head.name).String == r.Name &&
		textOf(head.namespace).String == r.Namespace && textOf(head.uid).String == r.UID &&
		h.created == r.Created.Unix() &&
		h.ended.Valid == (r.Completed != nil) && (r.Completed == nil || r.Completed.Unix() == h.ended.Int64)
	h.odd = h.odd || !same
	h.created, h.ended = r.Created.Unix(), sql.NullInt64{} // what the columns say
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
	if r.Kind == pipelineRun { // its log consists of its TaskRuns' logs
		h.flags |= flagLog
	}
	if len(r.ResultAnnotations) > 0 || len(r.SummaryAnnotations) > 0 {
		h.flags |= flagAnnotations
	}
}

// maxName bounds pipelines and repositories, in bytes: anyone who may create a run can give it an
// annotation of any length, which Postgres could not index and the cache of names would keep.
const maxName = 253

// clean removes what a database cannot store. A row changed by that is odd, except if a name is too
// long: it counts as none. Filters read names from the record.
func (h *hot) clean() {
	for _, name := range []*sql.NullString{&h.pipeline, &h.repo} {
		if len(name.String) > maxName {
			*name = sql.NullString{}
		}
	}
	for _, text := range []*string{&h.namespace, &h.kind, &h.status.String, &h.reason.String, &h.pipeline.String,
		&h.repo.String} {
		if cleaned := clean(*text); cleaned != *text {
			*text, h.odd = cleaned, true
		}
	}
}

// reduce leaves what a row must have to be found by its record.
func (h *hot) reduce() {
	h.odd, h.labels = true, nil
	h.pipeline, h.repo = sql.NullString{}, sql.NullString{}
}
