package index

import (
	"context"
	"errors"
	"fmt"
	"net/url"
)

// Open opens the index that a URL names, and creates it if necessary: sqlite:///absolute/path.db is
// a local file, postgres://user@host/database a server. The password is not part of the URL: as
// with libpq it is in PGPASSWORD, or in the file that PGPASSFILE names.
//
// It migrates an index of an earlier version. An index of a later version is left alone, and the
// error is ErrVersion.
func Open(ctx context.Context, rawURL string) (Index, error) {
	return open(ctx, rawURL, false)
}

// OpenReader opens an index for reading, and changes nothing. The error is ErrVersion if there is
// none, or one of another version.
func OpenReader(ctx context.Context, rawURL string) (Index, error) {
	return open(ctx, rawURL, true)
}

// ErrURL is the error of a URL that names no index.
var ErrURL = errors.New("index: not a URL such as sqlite:///absolute/path.db or postgres://host/database")

func open(ctx context.Context, rawURL string, reader bool) (Index, error) {
	u, err := url.Parse(rawURL)
	if err != nil { // not wrapped: its text has the URL, which may have a password
		return nil, ErrURL
	}
	var d *database
	switch u.Scheme {
	case "sqlite":
		d, err = openSQLite(ctx, u, reader)
	case "postgres", "postgresql":
		d, err = openPostgres(ctx, rawURL, reader)
	default:
		err = fmt.Errorf("%w: scheme %q is not one of sqlite, postgres, postgresql", ErrURL, u.Scheme)
	}
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	return d, nil
}
