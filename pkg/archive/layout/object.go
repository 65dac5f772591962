package layout

import (
	"errors"
	"fmt"
	"strings"
)

// Objects are what tools write: Results, and Records and Logs under them. All of a Result, its tree, has one
// beginning, which is a hash of its name, as nobody who asks for it by name knows when it was created.
//
//	clusters/<cluster>/objects/3fa/<tree>.result.<epoch>.<number>.json.gz             a generation of a Result
//	clusters/<cluster>/objects/3fa/<tree>.under.<epoch>.record.<id>.<number>.json.gz  one of a Record
//	clusters/<cluster>/objects/3fa/<tree>.under.<epoch>.log.<id>.<number>.json.gz     one of a Log
//	clusters/<cluster>/objects/3fa/<any of these>.<number>.gone                       it says that it is a tombstone
//	clusters/<cluster>/contents/3fa/<tree>.<epoch>.<id>.<number>.<writer>.zst         the content of a large Log
//
// The epoch counts how often the Result was deleted, so that what is under one that was deleted is told from
// what is under its successor by its key. Keys of a tree sort with the Result first.

// Kind says what an object is.
type Kind string

// Kinds of objects.
const (
	ResultKind Kind = "Result"
	RecordKind Kind = "Record"
	LogKind    Kind = "Log"
)

// ObjectName is a Result's name, or a Record's or Log's.
type ObjectName struct {
	Kind Kind
	// Parent and Result are a Result's name. ID is empty for a Result.
	Parent, Result, ID string
}

// maxName bounds each part of a name, in bytes. Kubernetes allows 253.
const maxName = 253

// Check says what is wrong with a name.
func (n ObjectName) Check() error {
	switch n.Kind {
	case ResultKind:
		if n.ID != "" {
			return errors.New("a Result has no id")
		}
	case RecordKind, LogKind:
		if err := checkSegment("id", n.ID); err != nil {
			return err
		}
	default:
		return fmt.Errorf("kind %q is not one of Result, Record, Log", n.Kind)
	}
	return errors.Join(checkSegment("parent", n.Parent), checkSegment("result", n.Result))
}

func checkSegment(what, text string) error {
	if text == "" || len(text) > maxName || strings.ContainsAny(text, "/\x00") {
		return fmt.Errorf("%s: must have 1 to %d bytes, and no slash", what, maxName)
	}
	return nil
}

// String returns the name as Tekton Results has it.
func (n ObjectName) String() string {
	name := n.Parent + "/results/" + n.Result
	switch n.Kind {
	case RecordKind:
		return name + "/records/" + n.ID
	case LogKind:
		return name + "/logs/" + n.ID
	}
	return name
}
