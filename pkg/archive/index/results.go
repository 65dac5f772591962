package index

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/indelible-ci/indelible/pkg/archive/index/pack"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
)

// ResultScan says which Results are wanted.
type ResultScan struct {
	// Scopes are the namespaces, as numbered in Group.Scope.
	Scopes []int64
	// Names are names of Results; nil is any.
	Names []string
	// Order is create_time, update_time, summary.start_time or summary.end_time.
	Order      ResultOrder
	Descending bool
	From, To   int64
	// After continues after a position.
	After *Position
	Limit int
}

// ResultOrder is what Results are sorted by.
type ResultOrder int

// Orders of Results.
const (
	ResultCreated ResultOrder = iota
	ResultUpdated
	ResultStarted
	ResultEnded
)

// ResultEntry is a Result, with what its summary is about.
type ResultEntry struct {
	Scope            int64
	Cluster, Parent  string
	Name             string
	Created, Updated int64
	Runs             int64
	Annotations      []byte
	// started and ended are what Results are sorted by, in seconds; 0 if there is none.
	started, ended int64
	// Root is the run that the summary is about, nil if there is none.
	Root *RootEntry
	// Object is what a tool wrote, nil if none did.
	Object *ObjectEntry
}

// RootEntry is the run of a Result's summary.
type RootEntry struct {
	UID, Name, Type, Status, Reason string
	Started, Completed              sql.NullInt64
	Annotated                       bool
	packed                          stored
}

// ObjectEntry is a Result as a tool wrote it.
type ObjectEntry struct {
	UID        string
	Generation int64
	Data       []byte
}

// Commit decodes the run's commit. It is bare.
func (r *RootEntry) Commit() (*manifest.Commit, error) { return commitOf(&r.packed) }

const resultColumns = `SELECT r.scope, s.cluster, s.namespace, r.name, r.created, r.updated, r.runs, r.annotations,
	t.uid, t.name, t.api_version, t.kind, t.status, t.reason, t.created, t.started, t.completed, t.flags, t.manifest,
	o.uid, o.generation, o.data, coalesce(o.started, 0), coalesce(o.completed, 0)
	FROM indelible_results r JOIN indelible_scopes s ON s.id = r.scope
	LEFT JOIN indelible_runs t ON t.id = r.root LEFT JOIN indelible_objects o ON o.id = r.object WHERE `

// Results implements Reader. Many namespaces are merged by what is in database indexes, as in
// Entries.
func (d *database) Results(ctx context.Context, s ResultScan) ([]ResultEntry, error) {
	ids, err := d.resultIDs(ctx, &s)
	if err != nil {
		return nil, fmt.Errorf("index: find Results: %w", err)
	}
	all, err := d.resultsOf(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("index: read Results: %w", err)
	}
	slices.SortFunc(all, func(a, b ResultEntry) int {
		n := cmp.Or(cmp.Compare(s.at(&a), s.at(&b)), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Parent, b.Parent))
		if s.Descending {
			return -n
		}
		return n
	})
	return all, nil
}

func (s *ResultScan) at(r *ResultEntry) int64 {
	switch s.Order {
	case ResultCreated:
		return r.Created
	case ResultUpdated:
		return r.Updated
	case ResultStarted:
		return r.started * 1e6
	}
	return r.ended * 1e6
}

// Position returns the place of a Result in the list. Results with the same time are sorted by
// name.
func (s *ResultScan) Position(r *ResultEntry) Position {
	return Position{s.at(r), r.Name + "/" + r.Parent}
}

func (d *database) resultsOf(ctx context.Context, ids []int64) ([]ResultEntry, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := d.reads.query(ctx, resultColumns+"r.id"+d.dialect.any("$1", numbers), d.dialect.list(ids))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []ResultEntry
	for rows.Next() {
		r, err := scanResult(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

func scanResult(rows *sql.Rows) (r ResultEntry, err error) {
	var uid, name, version, kind, status, reason, objectUID sql.NullString
	var created, flags, generation sql.NullInt64
	var root RootEntry
	var commit, data []byte
	err = rows.Scan(&r.Scope, &r.Cluster, &r.Parent, &r.Name, &r.Created, &r.Updated, &r.Runs, &r.Annotations,
		&uid, &name, &version, &kind, &status, &reason, &created, &root.Started, &root.Completed, &flags, &commit,
		&objectUID, &generation, &data, &r.started, &r.ended)
	if err != nil {
		return r, err
	}
	if uid.Valid {
		root.UID, root.Name, root.Type, root.Status, root.Reason = uid.String, name.String,
			version.String+"."+kind.String, status.String, reason.String
		root.Annotated = flags.Int64&flagAnnotations != 0
		root.packed = stored{
			cluster: r.Cluster, namespace: r.Parent, name: name.String, uid: uid.String, result: r.Name,
			created: created.Int64, completed: root.Completed, manifest: commit,
		}
		r.Root = &root
		if !objectUID.Valid {
			r.started, r.ended = root.Started.Int64, root.Completed.Int64
		}
	}
	if objectUID.Valid {
		text, err := pack.Unpack(data)
		if err != nil {
			return r, fmt.Errorf("result %s: %w: %w", r.Name, ErrDamaged, err)
		}
		r.Object = &ObjectEntry{UID: objectUID.String, Generation: generation.Int64, Data: text}
	}
	return r, nil
}

// ETag identifies the state of a tool's Result.
func (o *ObjectEntry) ETag() string {
	return (&object.Object{Generation: o.Generation, UID: o.UID}).ETag()
}
