package engine

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/query/filter"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// class says which of an entry's records is meant: a run has up to three.
type class int

const (
	ofRun class = iota
	ofLog
	ofEvents
)

var classes = []class{ofRun, ofLog, ofEvents}

// Data types of the records of logs and events.
const (
	logType    = "results.tekton.dev/v1alpha3.Log"
	eventsType = "results.tekton.dev/v1.EventList"
)

// recordEnv has the variables of a record, as far as they are known: from its group, its entry, or
// its data.
type recordEnv struct {
	group *index.Group
	class class
	// entry is nil if only the group is known.
	entry *index.Entry
	// data is nil if it is not known.
	data []byte
	// fullNames: names are whole, as in Tekton Results' lists of logs.
	fullNames bool
	native    any
}

// id returns the last segment of the record's name.
func id(e *index.Entry, c class) string {
	switch {
	case e.Tool:
		return e.Name
	case c == ofLog:
		return run.LogID(e.Result, e.UID)
	case c == ofEvents:
		return run.EventListID(e.Result, e.UID)
	}
	return e.UID
}

func dataType(g *index.Group, c class) string {
	switch c {
	case ofLog:
		return logType
	case ofEvents:
		return eventsType
	}
	return g.Type
}

// Value implements filter.Env.
func (v *recordEnv) Value(variable string, path []filter.Step) any {
	switch variable {
	case "parent":
		return v.group.Namespace
	case "data_type":
		return dataType(v.group, v.class)
	case "data":
		return v.field(path)
	}
	if v.entry == nil {
		return filter.Unknown
	}
	switch variable {
	case "result_name":
		return v.entry.Result
	case "name":
		if v.fullNames {
			return recordName(v.entry, v.class)
		}
		return id(v.entry, v.class)
	case "create_time":
		return index.Micros(v.entry.Created)
	case "update_time":
		return index.Micros(v.entry.Updated)
	}
	return nil
}

// Native implements filter.Env.
func (v *recordEnv) Native(variable string) any {
	if variable != "data" {
		return v.Value(variable, nil)
	}
	if v.data == nil {
		return filter.Unknown
	}
	if v.native == nil {
		if json.Unmarshal(v.data, &v.native) != nil {
			return nil
		}
	}
	return v.native
}

func (v *recordEnv) field(path []filter.Step) any {
	if v.data != nil {
		return filter.Lookup(v.data, path)
	}
	key := keyOf(path)
	switch v.class {
	case ofLog:
		return v.logField(key)
	case ofEvents:
		return eventsField(key)
	}
	return v.runField(key)
}

func keyOf(path []filter.Step) string {
	keys := make([]string, len(path))
	for i, step := range path {
		keys[i] = step.String()
	}
	return strings.Join(keys, "\x00")
}

func at(keys ...string) string { return strings.Join(keys, "\x00") }

var (
	statusKey      = at("status", "conditions", "[0]", "status")
	reasonKey      = at("status", "conditions", "[0]", "reason")
	startedKey     = at("status", "startTime")
	completedKey   = at("status", "completionTime")
	createdKey     = at("metadata", "creationTimestamp")
	namespaceKey   = at("metadata", "namespace")
	nameKey        = at("metadata", "name")
	uidKey         = at("metadata", "uid")
	resourceKey    = at("spec", "resource")
	resourceKind   = at("spec", "resource", "kind")
	resourceName   = at("spec", "resource", "name")
	resourceUID    = at("spec", "resource", "uid")
	resourceParent = at("spec", "resource", "namespace")
)

// runField returns what columns say about a run. About a tool's record they say only what its data
// has.
func (v *recordEnv) runField(key string) any {
	g, e := v.group, v.entry
	if g.Odd {
		return filter.Unknown
	}
	switch key {
	case statusKey:
		return text(g.Status)
	case reasonKey:
		return text(g.Reason)
	}
	if e != nil {
		switch key {
		case startedKey:
			if !e.Started.Valid {
				return nil
			}
			return seconds(e.Started.Int64)
		case completedKey:
			if !e.Completed.Valid {
				return nil
			}
			return seconds(e.Completed.Int64)
		}
	}
	if g.Tool {
		return filter.Unknown
	}
	version, kind := splitType(g.Type)
	switch key {
	case namespaceKey:
		return filter.Text(g.Namespace)
	case "apiVersion":
		return filter.Text(version)
	case "kind":
		return filter.Text(kind)
	}
	if e == nil {
		return filter.Unknown
	}
	switch key {
	case nameKey:
		return filter.Text(e.Name)
	case uidKey:
		return filter.Text(e.UID)
	case createdKey:
		return seconds(e.Created / 1e6)
	}
	return filter.Unknown
}

func splitType(t string) (version, kind string) {
	i := strings.LastIndexByte(t, '.')
	if i < 0 {
		return "", t
	}
	return t[:i], t[i+1:]
}

func text(s *string) any {
	if s == nil {
		return nil
	}
	return filter.Text(*s)
}

func seconds(at int64) any { return filter.Text(time.Unix(at, 0).UTC().Format(time.RFC3339)) }

// logField returns what is known about the record of a log, as newLog makes it.
func (v *recordEnv) logField(key string) any {
	_, kind := splitType(v.group.Type)
	switch key {
	case "apiVersion":
		return filter.Text(logAPIVersion)
	case "kind":
		return filter.Text("Log")
	case namespaceKey, resourceParent:
		return filter.Text(v.group.Namespace)
	case resourceKind:
		return filter.Text(kind)
	case "", "metadata", "spec", "status", resourceKey, at("spec", "type"):
		return filter.Unknown
	}
	for _, known := range []string{nameKey, uidKey, resourceName, resourceUID} {
		if key == known {
			return v.logText(key)
		}
	}
	if strings.HasPrefix(key, "status\x00") {
		return filter.Unknown
	}
	return nil
}

func (v *recordEnv) logText(key string) any {
	if v.entry == nil {
		return filter.Unknown
	}
	switch key {
	case nameKey:
		return filter.Text(logName(v.entry))
	case uidKey:
		return filter.Text(id(v.entry, ofLog))
	case resourceName:
		return filter.Text(v.entry.Name)
	}
	return filter.Text(v.entry.UID)
}

// eventsField returns what is known about a list of events. Its metadata is empty
// (pkg/archive/archiver).
func eventsField(key string) any {
	switch {
	case key == "apiVersion":
		return filter.Text("v1")
	case key == "kind":
		return filter.Text("EventList")
	case key == "", key == "metadata", key == "items", strings.HasPrefix(key, "items\x00"):
		return filter.Unknown
	}
	return nil
}
