package index

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

var postgresDialect = dialect{
	// Keys are compared as bytes, whatever language the database was made for.
	types: strings.NewReplacer("{id}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "{key}", "BIGINT PRIMARY KEY", "{text}", `TEXT COLLATE "C"`, "{bytes}", "BYTEA"),
	// Any number will do that others of this database do not use: it is what programs that make the tables wait for each other by.
	lock:   `SELECT pg_advisory_xact_lock(7308895151)`,
	exists: `SELECT to_regclass('indelible_schema') IS NOT NULL`,
}

// openPostgres connects to a server. Errors of the driver have no password in them.
func openPostgres(ctx context.Context, rawURL string, reader bool) (*database, error) {
	config, err := pgx.ParseConfig(rawURL)
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(8)
	db.SetConnMaxIdleTime(5 * time.Minute) // proxies drop connections that are idle for long
	return newDatabase(ctx, postgresDialect, db, db, reader)
}
