package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// schemaVersion is of the tables and of what is in their columns, the dictionary of compressed data included. Whoever changes one of
// these counts it up.
const schemaVersion = 3

// dialect is in what SQLite and Postgres differ.
type dialect struct {
	types *strings.Replacer
	// lock makes others wait that are about to write, until the transaction ends. Without it two programs that write the same
	// rows in another order would deadlock, and one might delete a spec that the other is about to refer to.
	lock string
	// exists is a query that says whether there are tables of ours.
	exists string
}

// tables, the version last. Times are numbers since 1970: created and completed in seconds, as Kubernetes has them, committed in
// microseconds. parent is the UID of the PipelineRun that made the run, empty where none did, sameAsResult where it has the
// Result's name, as it does as a rule. manifest is the commit and data the record, packed; the copy of its Task or Pipeline is in specs (spec.go). What has the same created is sorted by
// the database: so the indexes need no uid.
var tables = []string{
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
	`CREATE TABLE indelible_schema (version INTEGER NOT NULL)`,
}

const (
	indexParents = `CREATE INDEX indelible_runs_parent ON indelible_runs (parent) WHERE parent > '!'`
	// A cluster that is in there had all its runs in the index when it was last brought up to date.
	tableComplete = `CREATE TABLE indelible_complete (cluster {text} PRIMARY KEY)`
)

var drops = []string{
	`DROP TABLE IF EXISTS indelible_records`,
	`DROP TABLE IF EXISTS indelible_specs`,
	`DROP TABLE IF EXISTS indelible_runs`,
	`DROP TABLE IF EXISTS indelible_complete`,
	`DROP TABLE IF EXISTS indelible_schema`,
}

// ErrVersion is the error of an index that this program cannot use as it is: another version's, or none.
var ErrVersion = errors.New("the index cannot be used as it is")

var errNone = fmt.Errorf("%w: there is none yet: the archiver makes it when it starts, or archiver index sync does", ErrVersion)

// versionOf returns the version of the tables, 0 where there are none or making them broke off.
func versionOf(ctx context.Context, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
},
) (version int, err error) {
	err = db.QueryRowContext(ctx, `SELECT version FROM indelible_schema`).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return version, err
}

// migrate makes the tables, or brings those of an earlier version up to this one. Those of a later version are left alone: a program
// that is older than the index has no business with it. Several programs may do it at once.
func migrate(ctx context.Context, d dialect, db *sql.DB) error {
	return inTransaction(ctx, db, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, d.lock); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS indelible_schema (version INTEGER NOT NULL)`); err != nil {
			return err
		}
		version, err := versionOf(ctx, tx)
		switch {
		case err != nil:
			return err
		case version > schemaVersion:
			return fmt.Errorf("%w: it is of %d, made by a later Indelible, and this one knows %d: use the later one, or another database", ErrVersion, version, schemaVersion)
		case version == 2:
			err = addParents(ctx, d, tx)
		case version < 2:
			err = create(ctx, d, tx)
		}
		return err
	})
}

// usable says why a reader cannot use the tables: readers make and change none.
func usable(ctx context.Context, d dialect, db *sql.DB) error {
	var there bool
	if err := db.QueryRowContext(ctx, d.exists).Scan(&there); err != nil {
		return err
	}
	version := 0
	if there {
		var err error
		if version, err = versionOf(ctx, db); err != nil {
			return err
		}
	}
	switch {
	case version == 0:
		return errNone
	case version < schemaVersion:
		return fmt.Errorf("%w: it is of %d, and this Indelible needs %d: the archiver of this version changes it when it starts, or archiver index sync", ErrVersion, version, schemaVersion)
	case version > schemaVersion:
		return fmt.Errorf("%w: it is of %d, made by a later Indelible, and this one knows %d", ErrVersion, version, schemaVersion)
	}
	return nil
}

func create(ctx context.Context, d dialect, tx *sql.Tx) error {
	for _, statement := range drops {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	for _, statement := range tables {
		if _, err := tx.ExecContext(ctx, d.types.Replace(statement)); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO indelible_schema (version) VALUES ($1)`, schemaVersion)
	return err
}

// inTransaction commits what do has done, or nothing of it.
func inTransaction(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}
