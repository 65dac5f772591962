package index

import (
	"context"
	"database/sql"
	"slices"
	"strings"
)

// schemaVersion is the version of the tables and of their content, including the dictionary of
// compressed data. It must be raised with any change.
const schemaVersion = 4

// Names of dialects.
const (
	postgres = "postgres"
	sqlite3  = "sqlite"
)

// dialect is how SQLite and Postgres differ.
type dialect struct {
	name  string
	types *strings.Replacer
	// lock begins a transaction that writes, and makes other writers wait until it ends. Without it
	// two programs that write the same rows in different order could deadlock, and one could delete
	// a spec that the other is about to refer to.
	lock string
	// ids returns n unused ids of a table.
	ids func(ctx context.Context, tx *sql.Tx, table string, n int) ([]int64, error)
	// any is a condition: the column has one of the values of an argument, which list encodes.
	any  func(argument string, of kind) string
	list func(values any) any
	// streams runs a statement, with a limit, once for each value, which replaces {stream}.
	streams func(statement string, streams int) string
	// to4 are statements that version 4 needs besides version4.
	to4 []string
	// refuses says whether an error is about the values to be written: the same would fail again.
	refuses func(error) bool
	// exists is a query for whether the index has tables.
	exists string
}

// tables creates them, the version last. Times are since 1970: created, started and completed of
// runs in seconds, like Kubernetes' times, all others in microseconds. parent is the UID of the
// PipelineRun that created the run: empty if none did, sameAsResult if it is the Result's name, as
// usual. manifest is the commit and data the record, both packed; the Task or Pipeline it ran is in
// specs (spec.go). Rows with the same created are sorted by the query, so the indexes have no uid.
var tables = slices.Concat([]string{
	`CREATE TABLE indelible_runs (
		id {id},
		cluster {text} NOT NULL, namespace {text} NOT NULL, name {text} NOT NULL, uid {text} NOT NULL,
		api_version {text} NOT NULL, kind {text} NOT NULL, result {text} NOT NULL,
		status {text} NOT NULL, reason {text} NOT NULL,
		created BIGINT NOT NULL, completed BIGINT, committed BIGINT NOT NULL,
		manifest {bytes} NOT NULL, parent {text} NOT NULL DEFAULT '',
		UNIQUE (uid, cluster))`,
	`CREATE INDEX indelible_runs_created ON indelible_runs (cluster, created)`,
	`CREATE INDEX indelible_runs_namespace ON indelible_runs (namespace, created)`,
	`CREATE INDEX indelible_runs_name ON indelible_runs (name)`,
	`CREATE INDEX indelible_runs_result ON indelible_runs (result)`,
	indexParents,
	`CREATE TABLE indelible_specs (id {id}, digest {bytes} NOT NULL UNIQUE, data {bytes} NOT NULL)`,
	`CREATE TABLE indelible_records (id {key}, spec BIGINT, data {bytes} NOT NULL)`,
	`CREATE INDEX indelible_records_spec ON indelible_records (spec)`,
	tableComplete,
}, version4, []string{`CREATE TABLE indelible_schema (version INTEGER NOT NULL)`})

const (
	indexParents = `CREATE INDEX indelible_runs_parent ON indelible_runs (parent) WHERE parent > '!'`
	// A cluster in this table had all its runs in the index at the last Sync.
	tableComplete = `CREATE TABLE indelible_complete (cluster {text} PRIMARY KEY)`
)

// version4 is what version 4 added to 3: what the query API lists by.
//
// A scope is a namespace of a cluster. A group has the rows of a scope with the same data type, and
// the same status and reason of their first condition (hot.go). A label is a digest of scope, key
// and value, and finds rows newest first; run is negative for an object. A result groups runs and
// objects: runs is the number of runs, root the run that its summary is about. An object is what a
// tool wrote. A rollup counts the rows of a group that were created in an hour or a day: span
// seconds from at on.
var version4 = []string{
	`ALTER TABLE indelible_runs ADD COLUMN grp BIGINT NOT NULL DEFAULT 0`,
	`ALTER TABLE indelible_runs ADD COLUMN started BIGINT`,
	`ALTER TABLE indelible_runs ADD COLUMN pipeline BIGINT`,
	`ALTER TABLE indelible_runs ADD COLUMN repository BIGINT`,
	`ALTER TABLE indelible_runs ADD COLUMN flags BIGINT NOT NULL DEFAULT 0`,
	`CREATE TABLE indelible_scopes (id {id}, cluster {text} NOT NULL, namespace {text} NOT NULL, UNIQUE (namespace, cluster))`,
	`CREATE TABLE indelible_groups (id {id}, scope BIGINT NOT NULL, kind {text} NOT NULL, status {text} NOT NULL, reason {text} NOT NULL,
		tool BIGINT NOT NULL, UNIQUE (scope, kind, status, reason, tool))`,
	`CREATE TABLE indelible_names (id {id}, name {text} NOT NULL UNIQUE)`,
	runsIndexes[0], runsIndexes[1],
	`CREATE TABLE indelible_labels (label BIGINT NOT NULL, created BIGINT NOT NULL, run BIGINT NOT NULL, grp BIGINT NOT NULL,
		PRIMARY KEY (label, created, run)){clustered}`,
	`CREATE TABLE indelible_results (id {id}, scope BIGINT NOT NULL, name {text} NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL,
		runs BIGINT NOT NULL, root BIGINT NOT NULL, root_at BIGINT NOT NULL, object BIGINT NOT NULL, annotations {bytes},
		UNIQUE (scope, name))`,
	`CREATE INDEX indelible_results_created ON indelible_results (scope, created)`,
	`CREATE INDEX indelible_results_updated ON indelible_results (scope, updated)`,
	`CREATE TABLE indelible_objects (id {id}, scope BIGINT NOT NULL, kind BIGINT NOT NULL, result {text} NOT NULL, name {text} NOT NULL,
		uid {text} NOT NULL, generation BIGINT NOT NULL, object_key {text} NOT NULL, created BIGINT NOT NULL, micros BIGINT NOT NULL, committed BIGINT NOT NULL,
		grp BIGINT NOT NULL, started BIGINT, completed BIGINT, pipeline BIGINT, repository BIGINT, flags BIGINT NOT NULL,
		type {text} NOT NULL, data {bytes} NOT NULL, UNIQUE (scope, result, kind, name))`,
	`CREATE INDEX indelible_objects_group ON indelible_objects (grp, created, started, completed, pipeline, repository, flags)`,
	`CREATE INDEX indelible_objects_updated ON indelible_objects (grp, committed)`,
	`CREATE INDEX indelible_objects_name ON indelible_objects (name)`,
	`CREATE UNIQUE INDEX indelible_objects_key ON indelible_objects (object_key)`,
	`CREATE TABLE indelible_rollups (grp BIGINT NOT NULL, span BIGINT NOT NULL, at BIGINT NOT NULL,
		runs BIGINT NOT NULL, logs BIGINT NOT NULL, events BIGINT NOT NULL,
		timed BIGINT NOT NULL, days BIGINT NOT NULL, seconds BIGINT NOT NULL, shortest BIGINT, longest BIGINT, started BIGINT,
		PRIMARY KEY (grp, span, at)){clustered}`,
}

// runsIndexes are indexes on columns that version 4 added.
var runsIndexes = []string{
	`CREATE INDEX indelible_runs_group ON indelible_runs (grp, created, started, completed, pipeline, repository, flags)`,
	`CREATE INDEX indelible_runs_updated ON indelible_runs (grp, committed)`,
}
