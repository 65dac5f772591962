package index

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"
)

const (
	// maxGroup bounds how many changes one transaction has; the callers of all of them wait for it.
	maxGroup = 256
	// maxWrite bounds a transaction, so that a database that does not answer is an error at some time.
	maxWrite = time.Minute
)

var errClosed = errors.New("the index is closed")

// change is what one caller wants to be done in a transaction.
type change struct {
	// rows are put; apply does anything else. One of them is there.
	rows  []*packedRow
	apply func(context.Context, *batch) error
	done  chan error
}

// writer makes the changes of concurrent callers in common transactions: what a transaction costs, a wait for the disk or for a
// server, is then paid once for all that came while the one before was made.
type writer struct {
	db *sql.DB
	// lock is the statement that a transaction begins with.
	lock    string
	begin   func(*sql.Tx) *batch
	changes chan change
	ctx     context.Context //nolint:containedctx // it lives as long as the goroutine that it ends
	stop    context.CancelFunc
	stopped sync.WaitGroup
}

func newWriter(db *sql.DB, lock string, begin func(*sql.Tx) *batch) *writer {
	w := &writer{db: db, lock: lock, begin: begin, changes: make(chan change)}
	w.ctx, w.stop = context.WithCancel(context.Background())
	w.stopped.Go(w.run)
	return w
}

// do returns when a change was made, or why it was not. Where the caller's context ends first, the change may be made all the same.
func (w *writer) do(ctx context.Context, c change) error {
	if err := ctx.Err(); err != nil {
		return err // select has no order
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

// close lets the transaction at work fail or end.
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

// gather takes what others wait to have done.
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

// commit makes changes together. If that fails, each is made alone, so that one caller's mistake is not the others'.
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

// transaction makes changes. Callers that wait at once have no order among them, so rows can be put together.
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
