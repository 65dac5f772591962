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
const schemaVersion = 2

// dialect is in what SQLite and Postgres differ.
type dialect struct {
	types *strings.Replacer
	// lock makes others wait that are about to write, until the transaction ends. Without it two programs that write the same
	// rows in another order would deadlock, and one might delete a spec that the other is about to refer to.
	lock string
}

// tables, the version last. Times are numbers since 1970: created and completed in seconds, as Kubernetes has them, committed in
// microseconds. manifest is the commit and data the record, packed; the copy of its Task or Pipeline is in specs (spec.go). What has the same created is sorted by
// the database: so the indexes need no uid.
var tables = []string{
	`CREATE TABLE indelible_runs (
		id {id},
		cluster {text} NOT NULL, namespace {text} NOT NULL, name {text} NOT NULL, uid {text} NOT NULL,
		api_version {text} NOT NULL, kind {text} NOT NULL, result {text} NOT NULL,
		status {text} NOT NULL, reason {text} NOT NULL,
		created BIGINT NOT NULL, completed BIGINT, committed BIGINT NOT NULL,
		manifest {bytes} NOT NULL,
		UNIQUE (uid, cluster))`,
	`CREATE INDEX indelible_runs_created ON indelible_runs (cluster, created)`,
	`CREATE INDEX indelible_runs_namespace ON indelible_runs (namespace, created)`,
	`CREATE INDEX indelible_runs_name ON indelible_runs (name)`,
	`CREATE INDEX indelible_runs_result ON indelible_runs (result)`,
	`CREATE TABLE indelible_specs (id {id}, digest {bytes} NOT NULL UNIQUE, data {bytes} NOT NULL)`,
	`CREATE TABLE indelible_records (id {key}, spec BIGINT, data {bytes} NOT NULL)`,
	`CREATE INDEX indelible_records_spec ON indelible_records (spec)`,
	`CREATE TABLE indelible_schema (version INTEGER NOT NULL)`,
}

var drops = []string{
	`DROP TABLE IF EXISTS indelible_records`,
	`DROP TABLE IF EXISTS indelible_specs`,
	`DROP TABLE IF EXISTS indelible_runs`,
	`DROP TABLE IF EXISTS indelible_schema`,
}

// migrate makes the tables, or makes them anew where they are of another version. Several programs may do it at once.
func migrate(ctx context.Context, d dialect, db *sql.DB) error {
	return inTransaction(ctx, db, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, d.lock); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS indelible_schema (version INTEGER NOT NULL)`); err != nil {
			return err
		}
		var version int
		err := tx.QueryRowContext(ctx, `SELECT version FROM indelible_schema`).Scan(&version)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if version == schemaVersion {
			return nil
		}
		return create(ctx, d, tx)
	})
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
