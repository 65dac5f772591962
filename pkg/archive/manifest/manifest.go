// Package manifest is what a commit says: of which run, in which Result and Record, and what the parts of its archive are, each with
// size, digests and whether it is complete. It also writes parts, and compares what a store holds with what a commit says.
//
// A commit is one line of JSON in gzip, so that the bucket, gunzip and jq are enough to read a run, with zstd for its large parts. What is small, a record as
// good as always and most logs, is in the commit itself: such a run costs one object, which is there whole or not at all. Fields are
// only ever added, and so are types and states of parts: who does not know them carries them. A reader that meets an apiVersion it does not
// know leaves the run alone.
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

// What a commit says of itself.
const (
	APIVersion = "archive.indelible.dev/v1"
	Kind       = "Commit"
)

// Commit says that a run is in the archive: it is written after all its parts were stored, read back and compared.
type Commit struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Cluster is where the run was.
	Cluster  string   `json:"cluster"`
	Versions Versions `json:"versions"`
	// CommittedAt is by the clock of the archiver.
	CommittedAt time.Time `json:"committedAt"`
	Run         Run       `json:"run"`
	// Parts has the record first, then events, then logs in the order of attempts and steps.
	Parts []Part `json:"parts"`
	// Unknown is what a later program has written beside all that, in the same places.
	Unknown json.RawMessage `json:"-"`
}

// Versions are those of the programs that a run went through, for people. One that is not known is empty.
type Versions struct {
	Archiver   string `json:"archiver"`
	Kubernetes string `json:"kubernetes,omitempty"`
	// Tekton is the release that the run's annotation pipeline.tekton.dev/release names.
	Tekton string `json:"tekton,omitempty"`
}

// Run is what lists and retention need to know of a run without reading its record.
type Run struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
	// Created is metadata.creationTimestamp; Completed is status.completionTime, zero where the run has none.
	Created   time.Time  `json:"created"`
	Completed *time.Time `json:"completed,omitempty"`
	// Reason is that of the condition Succeeded, such as Succeeded, Failed, Cancelled, TaskRunTimeout; Status is its status.
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
	// Result is the name of the Result that the run belongs to, without its parent: Tekton Results' grouping.
	Result string `json:"result"`
	// ResultAnnotations and SummaryAnnotations are what the user wanted on the Result and in its summary: annotations
	// results.tekton.dev/resultAnnotations and recordSummaryAnnotations.
	ResultAnnotations  map[string]string `json:"resultAnnotations,omitempty"`
	SummaryAnnotations map[string]string `json:"summaryAnnotations,omitempty"`
}

// State is how much of a part there is.
type State string

// States of parts. What is not complete has a reason.
const (
	// Complete: all there was.
	Complete State = "complete"
	// Truncated: an end or a beginning is lost, and known to be.
	Truncated State = "truncated"
	// Missing: nothing is stored.
	Missing State = "missing"
)

// PartType says what a part holds.
type PartType string

// Types of parts.
const (
	// Record is the run as the API server had it, without metadata.managedFields.
	Record PartType = "record"
	// Log is the output of one container in one attempt, as the kubelet had it.
	Log PartType = "log"
	// Events is a list of the events about the run and its pods (v1.EventList).
	Events PartType = "events"
)

// Part is one object, or that there is none.
type Part struct {
	Type  PartType `json:"type"`
	State State    `json:"state"`
	// Reason says why a part is not complete.
	Reason string `json:"reason,omitempty"`
	// Container and Attempt are a log's; attempts count from 0.
	Container string `json:"container,omitempty"`
	Attempt   int    `json:"attempt,omitempty"`
	// Key is the object's, empty for a part that is missing or inline.
	Key string `json:"key,omitempty"`
	// Content is what was archived. Of a part that is in the commit it has a digest, which the bucket
	// does not: it is computed from the content when the commit is read.
	Content *Sum `json:"content,omitempty"`
	// Stored is what is in the object: the content, compressed. Its digest vouches for the content as well, which Zstandard gives
	// back with a checksum of its own: a second digest of gigabytes would cost as much as all the rest.
	Stored *Sum `json:"stored,omitempty"`
	// Inline is the content of a small part that is JSON, without insignificant space: it is in the commit.
	Inline json.RawMessage `json:"inline,omitempty"`
	// Text is the content of a small log that is UTF-8: it is in the commit as well.
	Text *string `json:"text,omitempty"`
}

// Sum is the size of some bytes and their digest.
type Sum struct {
	Bytes int64 `json:"bytes"`
	// SHA256 is in lower-case hexadecimal digits.
	SHA256 string `json:"sha256,omitempty"`
}

// MaxInline is what a part may have to be inline, in bytes. Larger ones are better verified and read as objects of
// their own, in constant memory.
const MaxInline = 64 << 10

// A log of at most MaxText bytes may be in the commit, as long as all such logs together take at most MaxTexts there, in bytes of JSON.
// Most steps print less, and the run then costs one object, as one without logs does.
const (
	MaxText  = 32 << 10
	MaxTexts = 256 << 10
)

// MaxCommit bounds a commit, in bytes of JSON: the keys of a run with a thousand logs are half of it.
const MaxCommit = 1 << 20

// Bare returns a commit without what is inline. Its parts still say what that was.
func (c *Commit) Bare() *Commit {
	bare := *c
	bare.Parts = slices.Clone(c.Parts)
	for i := range bare.Parts {
		bare.Parts[i].Inline, bare.Parts[i].Text = nil, nil
	}
	return &bare
}

// EncodeBare returns a commit without what is inline, as JSON.
func EncodeBare(c *Commit) ([]byte, error) { return encode(c.Bare(), true) }

// DecodeBare is the reverse of EncodeBare. Errors are Decode's.
func DecodeBare(key string, text []byte) (*Commit, error) {
	return classed(decodeText(key, text, true))
}

// Encode returns the object of a commit, or why it must not be written.
func Encode(c *Commit) ([]byte, error) {
	for i := range c.Parts {
		if p := &c.Parts[i]; !p.Known() {
			return nil, fmt.Errorf("commit of run %s: parts[%d]: type %q and state %q are not ones of this version", c.Run.UID, i, p.Type, p.State)
		}
	}
	text, err := encode(c, false)
	if err != nil {
		return nil, err
	}
	return pack(text), nil
}

// withoutSums returns a commit without sums of what is in it: gzip's checksum is the object's, and
// digests do not compress.
func (c *Commit) withoutSums() *Commit {
	small := *c
	small.Parts = slices.Clone(c.Parts)
	for i := range small.Parts {
		if small.Parts[i].isHere() {
			small.Parts[i].Content = nil
		}
	}
	return &small
}

// addSums is the reverse of withoutSums. Archivers before 2026-12 wrote the sums: those stay, to be
// compared.
func (c *Commit) addSums() {
	for i := range c.Parts {
		if p := &c.Parts[i]; p.Known() && p.isHere() && p.Content == nil {
			sum := sumOf(p.here())
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
		text = join(text, c.Unknown)
	}
	if len(text) > MaxCommit {
		return nil, fmt.Errorf("commit of run %s: %d bytes, more than %d", c.Run.UID, len(text), MaxCommit)
	}
	return text, nil
}

// ErrVersion is the error of a commit that a later version of the format wrote.
var ErrVersion = errors.New("the commit is of a version that this program does not know")

// Decode reads the object at the key of a commit. A commit that is not that key's, or not whole, is ErrDamaged: nothing that
// is damaged passes for an archived run.
func Decode(key string, data []byte) (*Commit, error) {
	text, err := unpack(data, MaxCommit)
	if err != nil {
		return classed(nil, fmt.Errorf("commit %s: %w", key, err))
	}
	return classed(decodeText(key, text, false))
}

func classed(c *Commit, err error) (*Commit, error) {
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

// Read reads a commit from a store. Its errors are Decode's, store.ErrNotExist, and what else may befall a read.
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

// Key is where the commit belongs.
func (c *Commit) Key() (string, error) {
	cluster, err := layout.ParseCluster(c.Cluster)
	if err != nil {
		return "", err
	}
	return cluster.Commit(c.ID())
}

// ID is what the keys of the run are made of.
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
	case p.State == Missing && (p.Key != "" || p.Content != nil || p.Stored != nil || p.isHere()):
		return errors.New("a missing part has no key, no sums and no content")
	case p.State == Missing:
		return nil
	case p.isHere(), bare && p.InCommit():
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

// InlinePart returns a part with its content in the commit, which is JSON without insignificant space.
func InlinePart(of PartType, content []byte) Part {
	sum := sumOf(content)
	return Part{Type: of, State: Complete, Content: &sum, Inline: content}
}

// SetText puts a log into the commit, unless it is not UTF-8 or takes more than room there, in bytes of JSON. It returns how many it takes, 0 if it
// is not there.
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

// InCommit says whether the part's content is in the commit, also of a commit that is bare.
func (p *Part) InCommit() bool {
	return p.State != Missing && p.Key == "" && p.Content != nil && p.Content.SHA256 != ""
}

// isHere says whether the content is in this value.
func (p *Part) isHere() bool { return p.Inline != nil || p.Text != nil }

// here returns that content.
func (p *Part) here() []byte {
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
	if got := sumOf(p.here()); !bare && got != *p.Content {
		return fmt.Errorf("%s is %d bytes with sha256 %s, want %d with %s", p.Type, got.Bytes, got.SHA256, p.Content.Bytes, p.Content.SHA256)
	}
	return nil
}
