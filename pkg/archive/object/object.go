// Package object keeps what tools write through the API: Results, Records of any type, and logs. It
// is the second class of objects of an archive. Runs are commits, which never change; these may
// change and go.
//
// Each state of an object is an object of the store, a generation, that is created where there is
// none of its number. That is compare-and-swap on every store: of two writers that have read the
// same generation one writes the next, and the other is told. A tombstone is a generation that says
// that there is nothing. docs/archive-format.md describes keys and contents, and why nobody's
// generation is lost.
package object

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
)

// Kind says what an object is.
type Kind = layout.Kind

// Kinds of objects.
const (
	Result = layout.ResultKind
	Record = layout.RecordKind
	// Log is the content of a log that a tool wrote; the record about it, if any, is a Record.
	Log = layout.LogKind
)

// Name is what an object is known by: parent/results/<result>[/records/<id>|/logs/<id>].
type Name = layout.ObjectName

// Object is one generation of a Result, a Record or a Log.
type Object struct {
	Kind Kind `json:"kind"`
	// Parent and Result name the Result. ID is the last segment of a Record's or Log's name, empty
	// for a Result.
	Parent string `json:"parent"`
	Result string `json:"result"`
	ID     string `json:"id,omitempty"`
	// UID is given by Create where the caller gives none. It is another one after the object was
	// deleted and created again.
	UID string `json:"uid"`
	// Generation orders all states that the name ever had. It is not dense.
	Generation int64 `json:"generation"`
	// Created and Updated are in microseconds, by the writer's clock or as the caller of Create
	// says.
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	// Type is the data type of a Record.
	Type string `json:"type,omitempty"`
	// Data is JSON without insignificant space. Record: the value. Result: {"annotations":…,
	// "summary":…} as protojson. Log: a Content.
	Data json.RawMessage `json:"data,omitempty"`
	// Deleted is of a tombstone, which has no data.
	Deleted bool `json:"deleted,omitempty"`
	// Key is where the generation is in the store, set by whatever returns an object. It names the
	// generation as well: an index that has a row with this key has this state.
	Key string `json:"-"`
	// Unknown are fields of a later program. Whoever writes the next generation carries them.
	Unknown map[string]json.RawMessage `json:"-"`
}

// Name returns the object's name.
func (o Object) Name() Name { return Name{Kind: o.Kind, Parent: o.Parent, Result: o.Result, ID: o.ID} }

// ETag returns what identifies the generation to clients, also among those of an object of the same
// name that was deleted and forgotten long ago.
func (o Object) ETag() string { return fmt.Sprintf("%d-%.8s", o.Generation, o.UID) }

// Content is what a Log's data says of its content.
type Content struct {
	// Bytes is the size of the content.
	Bytes int64 `json:"bytes"`
	// SHA256 is of the content, in lower-case hexadecimal digits.
	SHA256 string `json:"sha256"`
	// Hidden is of an overlay that says that the log of an archived run is not to be shown. It has
	// no content.
	Hidden bool `json:"hidden,omitempty"`
	// Text is the content itself where it is small and UTF-8. Then there is no part.
	Text *string `json:"text,omitempty"`
	// Part is the key of the object that has the content, in members as the parts of runs, and
	// Stored its size and digest.
	Part   string  `json:"part,omitempty"`
	Stored *Stored `json:"stored,omitempty"`
}

// Stored is the size and digest of an object as stored.
type Stored struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Errors that callers act upon.
var (
	// ErrNotExist is the answer for an object that was never written, or is deleted, itself or with
	// its Result.
	ErrNotExist = errors.New("there is no such object")
	// ErrExists is the answer to Create of what there is.
	ErrExists = errors.New("the object exists already")
	// ErrConflict is the answer to Update and Delete of a generation that is not the newest, or is
	// not any more.
	ErrConflict = errors.New("the object has been changed meanwhile")
	// ErrDamaged is the error of an object that is not what was written.
	ErrDamaged = errors.New("the object is not what was archived")
	// ErrVersion is the error of an object that a later version of the format wrote.
	ErrVersion = errors.New("the object is of a version that this program does not know")
	// ErrInvalid is the answer to an object or a name that must not be written.
	ErrInvalid = errors.New("the object cannot be written")
)
