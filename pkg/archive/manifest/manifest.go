// Package manifest is the content of a commit: the run, its Result and Record, and the parts of its
// archive with size, digests and completeness. It also writes parts, and compares objects in the
// store with their commit.
//
// A commit is one line of JSON in gzip. Bucket access, gunzip and jq are enough to read a run, and
// zstd for large parts. Small parts (nearly all records and most logs) are embedded in the commit:
// such a run is one object, which exists completely or not at all. New versions only add fields,
// part types and part states; programs that do not know them preserve them. A reader leaves runs of
// an unknown apiVersion alone.
package manifest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// APIVersion and Kind of commits.
const (
	APIVersion = "archive.indelible.dev/v1"
	Kind       = "Commit"
)

// Commit says that a run is archived. It is written after all parts were stored and verified.
type Commit struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Cluster is the name of the run's cluster.
	Cluster  string   `json:"cluster"`
	Versions Versions `json:"versions"`
	// CommittedAt is the time by the archiver's clock.
	CommittedAt time.Time `json:"committedAt"`
	Run         Run       `json:"run"`
	// Parts are the record, then events, then logs in the order of attempts and steps.
	Parts []Part `json:"parts"`
	// Unknown has the fields that a later version has added, at the same places.
	Unknown json.RawMessage `json:"-"`
}

// Versions are those of the programs that handled a run, for people. Unknown versions are empty.
type Versions struct {
	Archiver   string `json:"archiver"`
	Kubernetes string `json:"kubernetes,omitempty"`
	// Tekton is the value of the run's annotation pipeline.tekton.dev/release.
	Tekton string `json:"tekton,omitempty"`
}

// Run is what lists and retention need to know of a run, without its record.
type Run struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
	// Created is metadata.creationTimestamp. Completed is status.completionTime, nil if the run has
	// none.
	Created   time.Time  `json:"created"`
	Completed *time.Time `json:"completed,omitempty"`
	// Status and Reason are those of the condition Succeeded. Reasons are for example Succeeded,
	// Failed, Cancelled and TaskRunTimeout.
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
	// Result is the last segment of the name of the run's Result (Tekton Results).
	Result string `json:"result"`
	// ResultAnnotations and SummaryAnnotations are the values of the run's annotations
	// results.tekton.dev/resultAnnotations and recordSummaryAnnotations: annotations of the Result
	// and of its summary.
	ResultAnnotations  map[string]string `json:"resultAnnotations,omitempty"`
	SummaryAnnotations map[string]string `json:"summaryAnnotations,omitempty"`
}

// State is how complete a part is.
type State string

// States of parts. A part that is not complete has a reason.
const (
	// Complete: nothing was lost.
	Complete State = "complete"
	// Truncated: the beginning or the end is lost.
	Truncated State = "truncated"
	// Missing: nothing is stored.
	Missing State = "missing"
)

// PartType is the kind of a part.
type PartType string

// Types of parts.
const (
	// Record is the run as the API server returned it, without metadata.managedFields.
	Record PartType = "record"
	// Log is the output of one container in one attempt, as the kubelet returned it.
	Log PartType = "log"
	// Events is a list of the events about the run and its pods (v1.EventList).
	Events PartType = "events"
)

// Part describes one part, which is an object of its own, embedded in the commit, or missing.
type Part struct {
	Type  PartType `json:"type"`
	State State    `json:"state"`
	// Reason is why a part is not complete.
	Reason string `json:"reason,omitempty"`
	// Container and Attempt identify a log. Attempts count from 0.
	Container string `json:"container,omitempty"`
	Attempt   int    `json:"attempt,omitempty"`
	// Key is the object's key, empty if the part is missing or embedded.
	Key string `json:"key,omitempty"`
	// Content is the sum of the content. Its digest is set only for an embedded part, and is not
	// stored but computed when the commit is read.
	Content *Sum `json:"content,omitempty"`
	// Stored is the sum of the object, which is the compressed content. Its digest covers the
	// content as well, because Zstandard has a checksum; a second digest of gigabytes would cost as
	// much as everything else.
	Stored *Sum `json:"stored,omitempty"`
	// Inline is the content of a small embedded part that is JSON, without insignificant space.
	Inline json.RawMessage `json:"inline,omitempty"`
	// Text is the content of a small embedded log that is UTF-8.
	Text *string `json:"text,omitempty"`
}

// Sum is the size of some bytes and their digest.
type Sum struct {
	Bytes int64 `json:"bytes"`
	// SHA256 is in lower-case hexadecimal digits.
	SHA256 string `json:"sha256,omitempty"`
}

// MaxInline is the largest Inline, in bytes. Larger parts are objects of their own, which are read
// and verified in constant memory.
const MaxInline = 64 << 10

// MaxText is the largest log that may be embedded; MaxTexts bounds all embedded logs of a commit
// together, in bytes of JSON. Most steps print less, so that the run is one object.
const (
	MaxText  = 32 << 10
	MaxTexts = 256 << 10
)

// MaxCommit bounds a commit, in bytes of JSON. The keys of a run with a thousand logs take half of
// it.
const MaxCommit = 1 << 20

// Bare returns a copy of the commit without embedded content. Its parts still have the sums.
func (c *Commit) Bare() *Commit {
	bare := *c
	bare.Parts = slices.Clone(c.Parts)
	for i := range bare.Parts {
		bare.Parts[i].Inline, bare.Parts[i].Text = nil, nil
	}
	return &bare
}

// EncodeBare returns a bare commit as JSON.
func EncodeBare(c *Commit) ([]byte, error) { return encode(c.Bare(), true) }

// DecodeBare is the reverse of EncodeBare. Errors are those of Decode.
func DecodeBare(key string, text []byte) (*Commit, error) {
	return markDamaged(decodeText(key, text, true))
}

// Encode returns the object of a commit, if Decode can read it. All errors are ErrInvalid.
func Encode(c *Commit) ([]byte, error) {
	data, err := encodeObject(c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return data, nil
}

func encodeObject(c *Commit) ([]byte, error) {
	for i := range c.Parts {
		if p := &c.Parts[i]; !p.Known() {
			return nil, fmt.Errorf("commit of run %s: parts[%d]: type %q or state %q is unknown to this version",
				c.Run.UID, i, p.Type, p.State)
		}
	}
	text, err := encode(c, false)
	if err != nil {
		return nil, err
	}
	key, err := c.Key()
	if err != nil {
		return nil, err
	}
	data := pack(text)
	if len(data) > MaxCommit {
		return nil, fmt.Errorf("commit of run %s: %d bytes packed, more than %d", c.Run.UID, len(data), MaxCommit)
	}
	_, err = Decode(key, data)
	return data, err
}

// withoutSums returns a copy of the commit without the sums of embedded content: the checksum of
// gzip covers it, and digests do not compress.
func (c *Commit) withoutSums() *Commit {
	small := *c
	small.Parts = slices.Clone(c.Parts)
	for i := range small.Parts {
		if small.Parts[i].isEmbedded() {
			small.Parts[i].Content = nil
		}
	}
	return &small
}

// addSums is the reverse of withoutSums. Archivers before 2026-12 stored the sums; those are kept
// and compared.
func (c *Commit) addSums() {
	for i := range c.Parts {
		if p := &c.Parts[i]; p.Known() && p.isEmbedded() && p.Content == nil {
			sum := sumOf(p.embedded())
			p.Content = &sum
		}
	}
}

func encode(c *Commit, bare bool) ([]byte, error) {
	c.APIVersion, c.Kind = APIVersion, Kind
	if err := c.check(bare); err != nil {
		return nil, fmt.Errorf("commit of run %s: %w", c.Run.UID, err)
	}
	if !bare {
		c = c.withoutSums()
	}
	text, err := c.marshal()
	if err != nil {
		return nil, fmt.Errorf("commit of run %s: %w", c.Run.UID, err)
	}
	if c.Unknown != nil {
		text = merge(text, c.Unknown)
	}
	if len(text) > MaxCommit {
		return nil, fmt.Errorf("commit of run %s: %d bytes, more than %d", c.Run.UID, len(text), MaxCommit)
	}
	return text, nil
}

// ErrInvalid means that the values do not make a commit that can be read again.
var ErrInvalid = errors.New("not a valid commit")

// ErrVersion means that a later version of the format wrote the commit.
var ErrVersion = errors.New("the commit is of a version that this program does not know")

// Decode decodes the object of a commit. It returns ErrDamaged if the commit is damaged or does not
// belong to the key, so that it is not mistaken for an archived run.
func Decode(key string, data []byte) (*Commit, error) {
	text, err := unpack(data, MaxCommit)
	if err != nil {
		return markDamaged(nil, fmt.Errorf("commit %s: %w", key, err))
	}
	return markDamaged(decodeText(key, text, false))
}

func markDamaged(c *Commit, err error) (*Commit, error) {
	if err != nil && !errors.Is(err, ErrVersion) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return c, err
}

func decodeText(key string, text []byte, bare bool) (*Commit, error) {
	c := &Commit{}
	if err := c.unmarshal(text); err != nil {
		return nil, fmt.Errorf("commit %s: %w", key, err)
	}
	if c.Kind == Kind && c.APIVersion != APIVersion {
		return nil, fmt.Errorf("commit %s: %s: %w", key, c.APIVersion, ErrVersion)
	}
	if !bare {
		c.addSums()
	}
	if err := c.check(bare); err != nil {
		return nil, fmt.Errorf("commit %s: %w", key, err)
	}
	if own, err := c.Key(); err != nil || own != key {
		return nil, errors.Join(fmt.Errorf("commit %s is of another run: %s", key, own), err)
	}
	return c, nil
}

// Read reads a commit from a store. Errors are those of Decode, store.ErrNotExist and errors of the
// store.
func Read(ctx context.Context, from store.Store, key string) (*Commit, error) {
	object, err := from.Open(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read commit: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(object, MaxCommit))
	if err = errors.Join(err, object.Close()); err != nil {
		return nil, fmt.Errorf("read commit %s: %w", key, err)
	}
	return Decode(key, data)
}

// Key returns the key of the commit.
func (c *Commit) Key() (string, error) {
	cluster, err := layout.ParseCluster(c.Cluster)
	if err != nil {
		return "", err
	}
	return cluster.Commit(c.ID())
}

// ID returns what the keys of the run are made of.
func (c *Commit) ID() layout.Run { return layout.Run{Created: c.Run.Created, UID: c.Run.UID} }

func (c *Commit) check(bare bool) error {
	if c.APIVersion != APIVersion || c.Kind != Kind {
		return fmt.Errorf("apiVersion %q and kind %q must be %s and %s", c.APIVersion, c.Kind, APIVersion, Kind)
	}
	if c.Run.Namespace == "" || c.Run.Name == "" || c.Run.Kind == "" || c.Run.Result == "" || c.CommittedAt.IsZero() {
		return errors.New("run.namespace, run.name, run.kind, run.result and committedAt are required")
	}
	if _, err := c.Key(); err != nil {
		return err
	}
	if len(c.Parts) == 0 || c.Parts[0].Type != Record || c.Parts[0].State != Complete {
		return errors.New("parts[0] must be a complete record")
	}
	for i := range c.Parts {
		if err := c.checkPart(&c.Parts[i], bare); err != nil {
			return fmt.Errorf("parts[%d]: %w", i, err)
		}
	}
	return nil
}

func (c *Commit) checkPart(p *Part, bare bool) error {
	switch {
	case !p.Known():
		return p.checkUnknown(bare)
	case (p.State == Complete) != (p.Reason == ""):
		return errors.New("a part has a reason if, and only if, it is not complete")
	case p.State == Missing && (p.Key != "" || p.Content != nil || p.Stored != nil || p.isEmbedded()):
		return errors.New("a missing part has no key, no sums and no content")
	case p.State == Missing:
		return nil
	case p.isEmbedded(), bare && p.InCommit():
		return p.checkInline(bare)
	case p.Content == nil || p.Stored == nil || p.Stored.SHA256 == "":
		return errors.New("content and stored are required")
	}
	cluster, uid, _, _, err := layout.ParsePart(p.Key)
	if err != nil {
		return err
	}
	if string(cluster) != c.Cluster || uid != c.Run.UID {
		return fmt.Errorf("key %s is of another run", p.Key)
	}
	return nil
}

// InlinePart returns an embedded part. content is JSON without insignificant space.
func InlinePart(of PartType, content []byte) Part {
	sum := sumOf(content)
	return Part{Type: of, State: Complete, Content: &sum, Inline: content}
}

// SetText embeds a log, unless it is too large, not UTF-8, or takes more than room bytes of JSON.
// It returns the bytes taken, 0 if the log was not embedded.
func (p *Part) SetText(content []byte, room int) int {
	if len(content) > MaxText || !utf8.Valid(content) {
		return 0
	}
	text := string(content)
	encoded, err := json.Marshal(text)
	if err != nil || len(encoded) > room {
		return 0
	}
	sum := sumOf(content)
	p.Content, p.Text = &sum, &text
	return len(encoded)
}

// InCommit reports whether the part's content is in the commit, also of a bare commit.
func (p *Part) InCommit() bool {
	return p.State != Missing && p.Key == "" && p.Content != nil && p.Content.SHA256 != ""
}

// isEmbedded reports whether this value has the content.
func (p *Part) isEmbedded() bool { return p.Inline != nil || p.Text != nil }

// embedded returns the content of an embedded part.
func (p *Part) embedded() []byte {
	if p.Text != nil {
		return []byte(*p.Text)
	}
	return p.Inline
}

func (p *Part) checkInline(bare bool) error {
	switch {
	case p.Key != "" || p.Stored != nil || p.Content == nil:
		return errors.New("a part in the commit has content, no key and nothing stored")
	case p.Text != nil && (p.Type != Log || p.Inline != nil), p.Inline != nil && (p.Type == Log || p.State != Complete):
		return errors.New("a log in the commit is text, and what else there is complete and inline")
	}
	if got := sumOf(p.embedded()); !bare && got != *p.Content {
		return fmt.Errorf("%s is %d bytes with sha256 %s, want %d with %s", p.Type, got.Bytes, got.SHA256,
			p.Content.Bytes, p.Content.SHA256)
	}
	return nil
}
