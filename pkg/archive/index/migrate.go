package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

var drops = []string{
	`DROP TABLE IF EXISTS indelible_records`,
	`DROP TABLE IF EXISTS indelible_specs`,
	`DROP TABLE IF EXISTS indelible_runs`,
	`DROP TABLE IF EXISTS indelible_complete`,
	`DROP TABLE IF EXISTS indelible_scopes`,
	`DROP TABLE IF EXISTS indelible_groups`,
	`DROP TABLE IF EXISTS indelible_names`,
	`DROP TABLE IF EXISTS indelible_labels`,
	`DROP TABLE IF EXISTS indelible_results`,
	`DROP TABLE IF EXISTS indelible_objects`,
	`DROP TABLE IF EXISTS indelible_rollups`,
	`DROP TABLE IF EXISTS indelible_schema`,
}

// ErrVersion is the error of an index that this program cannot use: it has another version, or does
// not exist.
var ErrVersion = errors.New("the index cannot be used as it is")

var errNone = fmt.Errorf("%w: there is none yet: the archiver creates it when it starts, and so does archiver index sync",
	ErrVersion)

// versionOf returns the version of the tables, 0 if there are none or creating them was
// interrupted.
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

// migrate creates the tables, or updates those of an earlier version. A later version is an error.
// Several programs may call it at once.
func migrate(ctx context.Context, d dialect, db *sql.DB) error {
	return inTransaction(ctx, db, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, d.lock); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx,
			`CREATE TABLE IF NOT EXISTS indelible_schema (version INTEGER NOT NULL)`); err != nil {
			return err
		}
		version, err := versionOf(ctx, tx)
		switch {
		case err != nil:
			return err
		case version > schemaVersion:
			return fmt.Errorf(
				"%w: its version is %d, of a later Indelible, and this one needs %d: use the later one, or another database",
				ErrVersion, version, schemaVersion)
		case version < 2:
			return create(ctx, d, tx)
		}
		for ; err == nil && version < schemaVersion; version++ {
			err = migrations[version](ctx, d, tx)
		}
		return err
	})
}

// migrations update the tables of one version to the next.
var migrations = map[int]func(ctx context.Context, d dialect, tx *sql.Tx) error{2: addParents, 3: addQueries}

// usable returns why a reader cannot use the tables, which it must not create or change.
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
		return fmt.Errorf(
			"%w: its version is %d, and this Indelible needs %d: the archiver of this version updates it when it starts, and so does archiver index sync",
			ErrVersion, version, schemaVersion)
	case version > schemaVersion:
		return fmt.Errorf("%w: its version is %d, of a later Indelible, and this one needs %d", ErrVersion, version,
			schemaVersion)
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

// inTransaction commits what do did, or nothing of it.
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
