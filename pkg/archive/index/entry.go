package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/indelible-ci/indelible/pkg/archive/index/pack"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
)

// Entry is a run, or a record that a tool wrote.
type Entry struct {
	id int64
	// Group is the ID of its group.
	Group     int64
	Tool      bool
	Cluster   string
	Namespace string
	Result    string
	// UID is the run's, or what the writer gave the record. Name is the run's name, or the
	// record's.
	UID, Name string
	// Created and Updated are in microseconds since 1970.
	Created, Updated int64
	// Started and Completed are in seconds since 1970.
	Started, Completed sql.NullInt64
	// HasLog and HasEvents say whether a run has records for its log and events.
	HasLog, HasEvents bool
	// Type, Generation and Key are set for records of tools.
	Type       string
	Generation int64
	Key        string

	packed   stored
	digest   []byte
	database *database
}

const (
	runColumns = `SELECT r.id, r.grp, r.cluster, r.namespace, r.result, r.uid, r.name, r.created, 0, r.committed, r.started, r.completed, r.flags, '', 0, ''
		FROM indelible_runs r WHERE r.id`
	objectColumns = `SELECT o.id, o.grp, s.cluster, s.namespace, o.result, o.uid, o.name, o.created, o.micros, o.committed, o.started, o.completed, o.flags, o.type, o.generation, o.object_key
		FROM indelible_objects o JOIN indelible_scopes s ON s.id = o.scope WHERE o.id`
)

// entries reads the columns of rows, in no particular order.
func (d *database) entries(ctx context.Context, s *Scan, ids []int64) ([]Entry, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	text := runColumns
	if s.Tool {
		text = objectColumns
	}
	rows, err := d.reads.query(ctx, text+d.dialect.any("$1", numbers), d.dialect.list(ids))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	entries := make([]Entry, 0, len(ids))
	for rows.Next() {
		e := Entry{Tool: s.Tool, database: d}
		var seconds, micros, flags int64
		if err := rows.Scan(&e.id, &e.Group, &e.Cluster, &e.Namespace, &e.Result, &e.UID, &e.Name, &seconds, &micros,
			&e.Updated,
			&e.Started, &e.Completed, &flags, &e.Type, &e.Generation, &e.Key); err != nil {
			return nil, err
		}
		e.Created = seconds*1e6 + micros
		e.HasLog, e.HasEvents = flags&flagLog != 0, flags&flagEvents != 0
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

const (
	loadRuns = `SELECT r.id, r.manifest, d.data, d.spec, s.digest, s.data FROM indelible_runs r` + joinRecord +
		` WHERE r.id`
	loadObjs = `SELECT o.id, o.data, o.data, NULL, NULL, NULL FROM indelible_objects o WHERE o.id`
)

// Load implements Reader. Entries deleted since they were found are not loaded.
func (d *database) Load(ctx context.Context, entries []*Entry) error {
	var runs, objects []*Entry
	for _, e := range entries {
		if e.Tool {
			objects = append(objects, e)
		} else {
			runs = append(runs, e)
		}
	}
	if err := errors.Join(d.load(ctx, loadRuns, runs), d.load(ctx, loadObjs, objects)); err != nil {
		return fmt.Errorf("index: read records: %w", err)
	}
	return nil
}

func (d *database) load(ctx context.Context, text string, entries []*Entry) error {
	if len(entries) == 0 {
		return nil
	}
	byID, ids := make(map[int64]*Entry, len(entries)), make([]int64, len(entries))
	for i, e := range entries {
		byID[e.id], ids[i] = e, e.id
	}
	rows, err := d.reads.query(ctx, text+d.dialect.any("$1", numbers), d.dialect.list(ids))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var s stored
		var digest []byte
		if err := rows.Scan(&id, &s.manifest, &s.record, &s.spec, &digest, &s.specData); err != nil {
			return err
		}
		e := byID[id]
		s.cluster, s.namespace, s.name, s.uid, s.result = e.Cluster, e.Namespace, e.Name, e.UID, e.Result
		s.created, s.completed = truncate(e.Created, 1e6)/1e6, e.Completed
		e.packed, e.digest = s, digest
	}
	return rows.Err()
}

// Loaded says whether Load found the record.
func (e *Entry) Loaded() bool { return e.packed.manifest != nil }

// Record unpacks the record of a loaded entry.
func (e *Entry) Record() ([]byte, error) {
	record, err := e.record()
	if err != nil {
		return nil, fmt.Errorf("index: record of %s: %w: %w", e.UID, ErrDamaged, err)
	}
	return record, nil
}

func (e *Entry) record() ([]byte, error) {
	s := &e.packed
	if e.Tool {
		return pack.Unpack(s.record)
	}
	if s.record == nil || s.spec.Valid != (s.specData != nil) {
		return nil, errors.New("its record is missing or incomplete")
	}
	rest, err := pack.Unpack(s.record, s.known()...)
	if err != nil || !s.spec.Valid {
		return rest, err
	}
	spec, err := e.database.specCopies.get(e.digest, s.specData)
	if err != nil {
		return nil, err
	}
	return joinSpec(rest, spec)
}

// Commit decodes the commit of a loaded run. It is bare.
func (e *Entry) Commit() (*manifest.Commit, error) { return commitOf(&e.packed) }

// ETag identifies the state of a tool's record.
func (e *Entry) ETag() string { return (&object.Object{Generation: e.Generation, UID: e.UID}).ETag() }
