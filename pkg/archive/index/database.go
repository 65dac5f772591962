package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/indelible-ci/indelible/pkg/archive/index/pack"
)

// database is an Index in SQL that SQLite and Postgres both understand. read and write may be the same.
type database struct {
	read, write *sql.DB
	writer      *writer
	statements
}

// statements are prepared once: parsing them costs as much as running them.
type statements struct {
	putRun, putRecord, findSpec, putSpec, deleteRun, deleteRecord, deleteSpec, get *sql.Stmt
}

const (
	putRun = `INSERT INTO indelible_runs
		(cluster, namespace, name, uid, api_version, kind, result, status, reason, created, completed, committed, manifest, parent)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id`
	putRecord    = `INSERT INTO indelible_records (id, spec, data) VALUES ($1, $2, $3)`
	findSpec     = `SELECT id FROM indelible_specs WHERE digest = $1`
	putSpec      = `INSERT INTO indelible_specs (digest, data) VALUES ($1, $2) RETURNING id`
	deleteRun    = `DELETE FROM indelible_runs WHERE uid = $1 AND cluster = $2 RETURNING id`
	deleteRecord = `DELETE FROM indelible_records WHERE id = $1 RETURNING spec`
	deleteSpec   = `DELETE FROM indelible_specs WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM indelible_records WHERE spec = $1)`
	selectRun    = `SELECT r.cluster, r.namespace, r.name, r.uid, r.result, r.created, r.completed, r.manifest`
	// Joins that may find nothing: a run without its record is an error, and not one run less.
	joinRecord = ` LEFT JOIN indelible_records d ON d.id = r.id LEFT JOIN indelible_specs s ON s.id = d.spec`
	getRun     = selectRun + `, d.data, d.spec, s.data FROM indelible_runs r` + joinRecord + ` WHERE r.uid = $1 AND r.cluster = $2`
)

func newDatabase(ctx context.Context, d dialect, read, write *sql.DB, reader bool) (*database, error) {
	db := &database{read: read, write: write, writer: newWriter(write, d.lock)}
	var err error
	if reader {
		err = usable(ctx, d, read)
	} else {
		err = migrate(ctx, d, write)
	}
	for _, p := range []struct {
		to   **sql.Stmt
		on   *sql.DB
		text string
	}{
		{&db.putRun, write, putRun}, {&db.putRecord, write, putRecord}, {&db.findSpec, write, findSpec}, {&db.putSpec, write, putSpec},
		{&db.deleteRun, write, deleteRun}, {&db.deleteRecord, write, deleteRecord}, {&db.deleteSpec, write, deleteSpec}, {&db.get, read, getRun},
	} {
		if err == nil {
			*p.to, err = p.on.PrepareContext(ctx, p.text)
		}
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Put implements Index. Rows are packed by the caller's goroutine, so that the only writer does nothing but write.
func (d *database) Put(ctx context.Context, rows ...Row) error {
	packed := make([]packedRow, len(rows))
	for i, row := range rows {
		var err error
		if packed[i], err = packRow(row); err != nil {
			return fmt.Errorf("index: %w", err)
		}
	}
	err := d.writer.do(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for i := range packed {
			if err := d.put(ctx, tx, &packed[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("index: put %d rows: %w", len(rows), err)
	}
	return nil
}

// put replaces a row by deleting it, so that there is one way that specs are left.
func (d *database) put(ctx context.Context, tx *sql.Tx, row *packedRow) error {
	if err := d.delete(ctx, tx, row.cluster, row.uid); err != nil {
		return err
	}
	var spec sql.NullInt64
	if row.spec != nil {
		err := tx.StmtContext(ctx, d.findSpec).QueryRowContext(ctx, row.digest).Scan(&spec)
		if errors.Is(err, sql.ErrNoRows) {
			err = tx.StmtContext(ctx, d.putSpec).QueryRowContext(ctx, row.digest, pack.Pack(row.spec)).Scan(&spec)
		}
		if err != nil {
			return err
		}
	}
	var id int64
	if err := tx.StmtContext(ctx, d.putRun).QueryRowContext(ctx, row.columns...).Scan(&id); err != nil {
		return err
	}
	_, err := tx.StmtContext(ctx, d.putRecord).ExecContext(ctx, id, spec, row.record)
	return err
}

// Delete implements Index.
func (d *database) Delete(ctx context.Context, cluster string, uids ...string) error {
	err := d.writer.do(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, uid := range uids {
			if err := d.delete(ctx, tx, cluster, uid); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("index: delete %d rows: %w", len(uids), err)
	}
	return nil
}

// delete leaves nothing of a run, also not the copy of its Task if it was the last that had it.
func (d *database) delete(ctx context.Context, tx *sql.Tx, cluster, uid string) error {
	var id int64
	var spec sql.NullInt64
	err := tx.StmtContext(ctx, d.deleteRun).QueryRowContext(ctx, uid, cluster).Scan(&id)
	if err == nil {
		err = tx.StmtContext(ctx, d.deleteRecord).QueryRowContext(ctx, id).Scan(&spec)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil && spec.Valid {
		_, err = tx.StmtContext(ctx, d.deleteSpec).ExecContext(ctx, spec)
	}
	return err
}

// Get implements Index.
func (d *database) Get(ctx context.Context, cluster, uid string) (Row, error) {
	var s stored
	err := d.get.QueryRowContext(ctx, uid, cluster).Scan(s.columns(true)...)
	if errors.Is(err, sql.ErrNoRows) {
		return Row{}, fmt.Errorf("index: run %s: %w", uid, ErrNotFound)
	}
	if err != nil {
		return Row{}, fmt.Errorf("index: get run %s: %w", uid, err)
	}
	return s.row(true)
}

// Complete implements Index.
func (d *database) Complete(ctx context.Context, cluster string) (complete bool, err error) {
	err = d.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM indelible_complete WHERE cluster = $1)`, cluster).Scan(&complete)
	if err != nil {
		return false, fmt.Errorf("index: is it complete: %w", err)
	}
	return complete, nil
}

// SetComplete implements Index.
func (d *database) SetComplete(ctx context.Context, cluster string, complete bool) error {
	statement := `DELETE FROM indelible_complete WHERE cluster = $1`
	if complete {
		statement = `INSERT INTO indelible_complete (cluster) VALUES ($1) ON CONFLICT DO NOTHING`
	}
	err := d.writer.do(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, statement, cluster)
		return err
	})
	if err != nil {
		return fmt.Errorf("index: note whether it is complete: %w", err)
	}
	return nil
}

// Close implements Index.
func (d *database) Close() error {
	d.writer.close()
	err := d.write.Close() // and statements with it
	if d.read != d.write {
		err = errors.Join(err, d.read.Close())
	}
	if err != nil {
		return fmt.Errorf("close index: %w", err)
	}
	return nil
}
