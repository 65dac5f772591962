package index

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
)

// table says how to insert rows into a table: many with one statement, as each statement costs as
// much as some rows.
type table struct {
	name    string
	columns []string
	// conflict is the clause for rows that exist already.
	conflict string
	texts    sync.Map
}

// chunks are the numbers of rows that statements have. Each is parsed once.
var chunks = []int{64, 8, 1}

// inserter prepares statements on first use.
type inserter struct {
	db *sql.DB
	// numbered: placeholders have numbers.
	numbered bool

	mu         sync.Mutex
	statements map[string]*sql.Stmt
	// asked is called with each query, in tests of query plans.
	asked func(text string, args []any)
}

func (i *inserter) statement(ctx context.Context, text string) (*sql.Stmt, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := i.statements[text]
	if s == nil {
		var err error
		if s, err = i.db.PrepareContext(ctx, text); err != nil {
			return nil, err
		}
		i.statements[text] = s
	}
	return s, nil
}

// query uses a prepared statement.
func (i *inserter) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if i.asked != nil {
		i.asked(text, args)
	}
	s, err := i.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// insert adds rows. values has the values of one row after the other.
func (i *inserter) insert(ctx context.Context, tx *sql.Tx, t *table, values []any) error {
	for _, chunk := range chunks {
		n := chunk * len(t.columns)
		for len(values) >= n && n > 0 {
			if err := i.exec(ctx, tx, t.statement(chunk, i.numbered), values[:n]...); err != nil {
				return fmt.Errorf("insert into %s: %w", t.name, err)
			}
			values = values[n:]
		}
	}
	return nil
}

// prepare prepares the statements of tables before any transaction: in SQLite that would have the
// only writing connection.
func (i *inserter) prepare(ctx context.Context, tables ...*table) error {
	for _, t := range tables {
		for _, chunk := range chunks {
			if _, err := i.statement(ctx, t.statement(chunk, i.numbered)); err != nil {
				return fmt.Errorf("prepare to insert into %s: %w", t.name, err)
			}
		}
	}
	return nil
}

// exec runs a statement, prepared if it is known.
func (i *inserter) exec(ctx context.Context, tx *sql.Tx, text string, args ...any) error {
	i.mu.Lock()
	s := i.statements[text]
	i.mu.Unlock()
	if s == nil {
		_, err := tx.ExecContext(ctx, text, args...)
		return err
	}
	_, err := tx.StmtContext(ctx, s).ExecContext(ctx, args...)
	return err
}

// shape is what the text of an INSERT depends on.
type shape struct {
	rows     int
	numbered bool
}

func (t *table) statement(rows int, numbered bool) string {
	s := shape{rows, numbered}
	if text, ok := t.texts.Load(s); ok {
		return text.(string)
	}
	text := t.build(rows, numbered)
	t.texts.Store(s, text)
	return text
}

// build numbers the placeholders only if the database needs it: SQLite's driver looks up each name
// among all arguments.
func (t *table) build(rows int, numbered bool) string {
	var text strings.Builder
	fmt.Fprintf(&text, "INSERT INTO %s (%s) VALUES ", t.name, strings.Join(t.columns, ", "))
	n := 0
	for row := range rows {
		if row > 0 {
			text.WriteString(", ")
		}
		text.WriteByte('(')
		for column := range t.columns {
			if column > 0 {
				text.WriteString(", ")
			}
			n++
			if numbered {
				fmt.Fprintf(&text, "$%d", n)
			} else {
				text.WriteByte('?')
			}
		}
		text.WriteByte(')')
	}
	text.WriteString(t.conflict)
	return text.String()
}
