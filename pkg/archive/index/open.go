package index

import (
	"context"
	"errors"
	"fmt"
	"net/url"
)

// Open opens the index that a URL names, and makes what is missing of it: sqlite:///absolute/path.db is a file of this
// machine, postgres://user@host/database a server. A password stands in PGPASSWORD or in a file that PGPASSFILE names, as
// libpq has them, and not in the URL.
//
// An index of an earlier version is brought up to this one's form. One of a later version is left alone, and the error is ErrVersion.
func Open(ctx context.Context, rawURL string) (Index, error) {
	return open(ctx, rawURL, false)
}

// OpenReader opens an index to read it, and neither makes nor changes any: what is not there, or of another version, is ErrVersion.
func OpenReader(ctx context.Context, rawURL string) (Index, error) {
	return open(ctx, rawURL, true)
}

var errURL = errors.New("index: not a URL such as sqlite:///absolute/path.db or postgres://host/database")

func open(ctx context.Context, rawURL string, reader bool) (Index, error) {
	u, err := url.Parse(rawURL)
	if err != nil { // it is not wrapped: it has the URL in it, and a URL may have a password
		return nil, errURL
	}
	var d *database
	switch u.Scheme {
	case "sqlite":
		d, err = openSQLite(ctx, u, reader)
	case "postgres", "postgresql":
		d, err = openPostgres(ctx, rawURL, reader)
	default:
		err = fmt.Errorf("%w: scheme %q is not one of sqlite, postgres, postgresql", errURL, u.Scheme)
	}
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	return d, nil
}
