package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
)

// database is an Index in SQL that both SQLite and Postgres understand. read and write may be the
// same.
type database struct {
	read, write *sql.DB
	writer      *writer
	dialect     dialect
	interned    *interned
	inserter    *inserter
	// reads prepares the readers' statements.
	reads      *inserter
	groupCache groupCache
	specCopies specCache
	statements
}

// statements are prepared once: parsing them costs as much as running them.
type statements struct {
	findSpec, putSpec, deleteSpec, get *sql.Stmt
}

const (
	findSpec   = `SELECT id FROM indelible_specs WHERE digest = $1`
	putSpec    = `INSERT INTO indelible_specs (digest, data) VALUES ($1, $2) RETURNING id`
	deleteSpec = `DELETE FROM indelible_specs WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM indelible_records WHERE spec = $1)`
	selectRun  = `SELECT r.cluster, r.namespace, r.name, r.uid, r.result, r.created, r.completed, r.manifest`
	// Outer joins: a run without its record must be an error, not a missing run.
	joinRecord = ` LEFT JOIN indelible_records d ON d.id = r.id LEFT JOIN indelible_specs s ON s.id = d.spec`
	getRun     = selectRun + `, d.data, d.spec, s.data FROM indelible_runs r` + joinRecord +
		` WHERE r.uid = $1 AND r.cluster = $2`
)

func newDatabase(ctx context.Context, d dialect, read, write *sql.DB, reader bool) (*database, error) {
	db := &database{
		read: read, write: write, dialect: d, interned: newInterned(),
		inserter: &inserter{db: write, numbered: d.name == postgres, statements: map[string]*sql.Stmt{}},
		reads:    &inserter{db: read, statements: map[string]*sql.Stmt{}},
	}
	db.writer = newWriter(write, d.lock, db.newBatch)
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
		{&db.findSpec, write, findSpec}, {&db.putSpec, write, putSpec}, {&db.deleteSpec, write, deleteSpec},
		{&db.get, read, getRun},
	} {
		if err == nil {
			*p.to, err = p.on.PrepareContext(ctx, p.text)
		}
	}
	if err == nil && !reader {
		err = db.inserter.prepare(ctx, &runsTable, &recordsTable, &labelsTable, &resultsTable, &rollupsTable)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Put implements Index. The caller's goroutine packs the rows, so that the only writer just writes.
// A single row that the database refuses is put without what only makes it quicker to find.
func (d *database) Put(ctx context.Context, rows ...Row) error {
	packed := make([]*packedRow, len(rows))
	for i, row := range rows {
		p, err := packRow(row)
		if err != nil {
			return fmt.Errorf("index: %w: %w", ErrRefused, err)
		}
		packed[i] = &p
	}
	err := d.writer.do(ctx, change{rows: packed})
	if len(packed) == 1 && d.dialect.refuses(err) {
		packed[0].hot.reduce()
		err = d.writer.do(ctx, change{rows: packed})
	}
	if err != nil {
		return fmt.Errorf("index: put %d rows: %w", len(rows), d.refusal(err))
	}
	return nil
}

// refusal adds ErrRefused to an error of what was to be written, not of a database that is away.
func (d *database) refusal(err error) error {
	if !d.dialect.refuses(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrRefused, err)
}

// Delete implements Index.
func (d *database) Delete(ctx context.Context, cluster string, uids ...string) error {
	err := d.writer.do(ctx, change{apply: func(ctx context.Context, b *batch) error {
		for page := range slices.Chunk(uids, page) {
			if err := b.delete(ctx, cluster, page); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		return fmt.Errorf("index: delete %d rows: %w", len(uids), err)
	}
	return nil
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
	err = d.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM indelible_complete WHERE cluster = $1)`,
		cluster).Scan(&complete)
	if err != nil {
		return false, fmt.Errorf("index: read whether it is complete: %w", err)
	}
	return complete, nil
}

// SetComplete implements Index.
func (d *database) SetComplete(ctx context.Context, cluster string, complete bool) error {
	statement := `DELETE FROM indelible_complete WHERE cluster = $1`
	if complete {
		statement = `INSERT INTO indelible_complete (cluster) VALUES ($1) ON CONFLICT DO NOTHING`
	}
	err := d.writer.do(ctx, change{apply: func(ctx context.Context, b *batch) error {
		_, err := b.tx.ExecContext(ctx, statement, cluster)
		return err
	}})
	if err != nil {
		return fmt.Errorf("index: set whether it is complete: %w", err)
	}
	return nil
}

// Close implements Index.
func (d *database) Close() error {
	d.writer.close()
	err := d.write.Close() // closes the statements as well
	if d.read != d.write {
		err = errors.Join(err, d.read.Close())
	}
	if err != nil {
		return fmt.Errorf("close index: %w", err)
	}
	return nil
}

// Reader implements Index.
func (d *database) Reader(context.Context) (Reader, error) { return d, nil }
