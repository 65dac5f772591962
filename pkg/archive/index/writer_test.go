package index

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// Changes that wait during a transaction are made together; if one of them fails, the others are
// still made.
func TestWriterGroups(t *testing.T) {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE numbers (n INTEGER)`); err != nil {
		t.Fatal(err)
	}
	w := &writer{db: db, lock: `SELECT 1`, begin: bare, changes: make(chan change)}
	w.ctx, w.stop = context.WithCancel(t.Context())
	broken := errors.New("no thirteen")
	// This is run's loop, with a known group.
	var group []change
	for n := range 20 {
		group = append(group, change{done: make(chan error, 1), apply: func(ctx context.Context, b *batch) error {
			if _, err := b.tx.ExecContext(ctx, `INSERT INTO numbers (n) VALUES ($1)`, n); err != nil {
				return err
			}
			if n == 13 {
				return broken
			}
			return nil
		}})
	}
	w.commit(group)
	for n, c := range group {
		if err := <-c.done; errors.Is(err, broken) != (n == 13) || n != 13 && err != nil {
			t.Errorf("%d: got %v", n, err)
		}
	}
	var got []int
	rows, err := db.QueryContext(t.Context(), `SELECT n FROM numbers ORDER BY n`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		got = append(got, n)
	}
	if err := rows.Err(); err != nil || len(got) != 19 || slices.Contains(got, 13) {
		t.Errorf("got %d, %v; want 0 to 19 without 13", got, err)
	}
}

// Callers that wait when the index is closed get an error.
func TestWriterCloses(t *testing.T) {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	w := newWriter(db, `SELECT 1`, bare)
	started := make(chan struct{})
	var once sync.Once
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			err := w.do(t.Context(), change{apply: func(ctx context.Context, _ *batch) error {
				once.Do(func() { close(started) })
				<-ctx.Done()
				return ctx.Err()
			}})
			if err == nil {
				t.Error("a change was made that cannot have been")
			}
		})
	}
	<-started
	w.close()
	group.Wait()
}

// bare is a batch for a database without tables.
func bare(tx *sql.Tx) *batch { return &batch{tx: tx, intern: newInterned().begin()} }
