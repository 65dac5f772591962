package index

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"
)

const (
	// maxGroup bounds the changes of one transaction; all their callers wait for it.
	maxGroup = 256
	// maxWrite bounds a transaction, so that a database that does not answer becomes an error.
	maxWrite = time.Minute
)

var errClosed = errors.New("the index is closed")

// change is what one caller writes.
type change struct {
	// rows are put; apply does anything else. One of them is set.
	rows  []*packedRow
	apply func(context.Context, *batch) error
	done  chan error
}

// writer groups the changes of concurrent callers: all that arrive during one transaction share the
// cost of the next, which is waiting for the disk or a server.
type writer struct {
	db *sql.DB
	// lock is the first statement of each transaction.
	lock    string
	begin   func(*sql.Tx) *batch
	changes chan change
	ctx     context.Context //nolint:containedctx // it ends the goroutine run
	stop    context.CancelFunc
	stopped sync.WaitGroup
}

func newWriter(db *sql.DB, lock string, begin func(*sql.Tx) *batch) *writer {
	w := &writer{db: db, lock: lock, begin: begin, changes: make(chan change)}
	w.ctx, w.stop = context.WithCancel(context.Background())
	w.stopped.Go(w.run)
	return w
}

// do returns when a change is committed or failed. If the caller's context ends first, the change
// may still be made.
func (w *writer) do(ctx context.Context, c change) error {
	if err := ctx.Err(); err != nil {
		return err // select would choose at random
	}
	c.done = make(chan error, 1)
	select {
	case w.changes <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.ctx.Done():
		return errClosed
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close waits until the current transaction has failed or ended.
func (w *writer) close() {
	w.stop()
	w.stopped.Wait()
}

func (w *writer) run() {
	for {
		select {
		case first := <-w.changes:
			w.commit(w.gather(first))
		case <-w.ctx.Done():
			return
		}
	}
}

// gather takes all changes that are waiting.
func (w *writer) gather(first change) []change {
	group := []change{first}
	for len(group) < maxGroup {
		select {
		case c := <-w.changes:
			group = append(group, c)
		default:
			return group
		}
	}
	return group
}

// commit makes changes together. If that fails, it makes each alone, so that one caller's error
// does not affect the others.
func (w *writer) commit(group []change) {
	err := w.transaction(group...)
	for _, c := range group {
		if err != nil && len(group) > 1 {
			c.done <- w.transaction(c)
		} else {
			c.done <- err
		}
	}
}

// transaction makes changes. Concurrent callers have no order, so all rows are put together, after
// the other changes.
func (w *writer) transaction(group ...change) error {
	ctx, cancel := context.WithTimeout(w.ctx, maxWrite)
	defer cancel()
	var b *batch
	err := inTransaction(ctx, w.db, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, w.lock); err != nil {
			return err
		}
		b = w.begin(tx)
		var rows []*packedRow
		for _, c := range group {
			rows = append(rows, c.rows...)
			if c.apply == nil {
				continue
			}
			if err := c.apply(ctx, b); err != nil {
				return err
			}
		}
		return b.put(ctx, rows)
	})
	if err == nil {
		b.intern.commit()
	}
	return err
}
