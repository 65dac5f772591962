// Package object stores what tools write through the API: Results, Records of any type, and Logs.
// They are the second class of objects of an archive. Runs are commits, which never change; these
// can be changed and deleted.
//
// Each state of an object is a separate object in the store, a generation, which is created only if
// its number does not exist. That is compare-and-swap on every store: of two writers that have read
// the same generation, one writes the next and the other gets a conflict. A tombstone is a
// generation that says that the object is deleted. docs/archive-format.md describes keys and
// contents, and why no write is lost.
package object

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
)

// Kind is the kind of an object.
type Kind = layout.Kind

// Kinds of objects.
const (
	Result = layout.ResultKind
	Record = layout.RecordKind
	// Log is the content of a log that a tool wrote. The record about it, if any, is a Record.
	Log = layout.LogKind
)

// Name is the name of an object: parent/results/<result>[/records/<id>|/logs/<id>].
type Name = layout.ObjectName

// Object is one generation of a Result, a Record or a Log.
type Object struct {
	Kind Kind `json:"kind"`
	// Parent and Result are the Result's name. ID is the last segment of a Record's or Log's name,
	// empty for a Result.
	Parent string `json:"parent"`
	Result string `json:"result"`
	ID     string `json:"id,omitempty"`
	// UID is set by Create if the caller does not set it. It changes if an object is deleted and
	// created again.
	UID string `json:"uid"`
	// Generation orders all states that the name ever had. It has gaps.
	Generation int64 `json:"generation"`
	// Created and Updated are in microseconds, by the writer's clock or as set by the caller of
	// Create.
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	// Type is the data type of a Record.
	Type string `json:"type,omitempty"`
	// Data is JSON without insignificant space. Record: the value. Result: {"annotations":…,
	// "summary":…} as protojson. Log: a Content.
	Data json.RawMessage `json:"data,omitempty"`
	// Deleted: it is a tombstone, which has no data.
	Deleted bool `json:"deleted,omitempty"`
	// Key is the generation's key in the store, set in returned objects. An index whose row has
	// this key has this state.
	Key string `json:"-"`
	// Unknown has fields of a later version. They are preserved in the next generation.
	Unknown map[string]json.RawMessage `json:"-"`
}

// Name returns the object's name.
func (o Object) Name() Name { return Name{Kind: o.Kind, Parent: o.Parent, Result: o.Result, ID: o.ID} }

// ETag identifies the generation for clients, also among those of an object of the same name that
// was deleted and swept.
func (o Object) ETag() string { return fmt.Sprintf("%d-%.8s", o.Generation, o.UID) }

// Content is the data of a Log.
type Content struct {
	// Bytes is the size of the content.
	Bytes int64 `json:"bytes"`
	// SHA256 is the digest of the content, in lower-case hexadecimal digits.
	SHA256 string `json:"sha256"`
	// Hidden: the log of an archived run is not shown. There is no content.
	Hidden bool `json:"hidden,omitempty"`
	// Text is the content, if it is small and UTF-8. Part is empty then.
	Text *string `json:"text,omitempty"`
	// Part is the key of the object with the content, which has the format of runs' parts. Stored
	// is its size and digest.
	Part   string  `json:"part,omitempty"`
	Stored *Stored `json:"stored,omitempty"`
}

// Stored is the size and digest of an object in the store.
type Stored struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Errors for callers to check.
var (
	// ErrNotExist: the object was never written, or it or its Result is deleted.
	ErrNotExist = errors.New("there is no such object")
	// ErrExists: the object to create exists.
	ErrExists = errors.New("the object exists already")
	// ErrConflict: the generation to update or delete is not, or no longer, the newest.
	ErrConflict = errors.New("the object has been changed meanwhile")
	// ErrDamaged: the object is not what was written.
	ErrDamaged = errors.New("the object is not what was archived")
	// ErrVersion: a later version of the format wrote the object.
	ErrVersion = errors.New("the object is of a version that this program does not know")
	// ErrInvalid: the object or its name is invalid.
	ErrInvalid = errors.New("the object cannot be written")
)
