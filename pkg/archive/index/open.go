package index

import (
	"context"
	"fmt"
	"net/url"
)

// Open opens the index that a URL names, and makes what is missing of it: sqlite:///absolute/path.db is a file of this
// machine, postgres://user@host/database a server. A password stands in PGPASSWORD or in a file that PGPASSFILE names, as
// libpq has them, and not in the URL.
//
// An index that another version of this program made in another form is emptied: the bucket has what was in it, and Sync
// brings it back.
func Open(ctx context.Context, rawURL string) (Index, error) {
	u, err := url.Parse(rawURL)
	if err != nil { // it is not wrapped: it has the URL in it, and a URL may have a password
		return nil, fmt.Errorf("index: not a URL such as sqlite:///absolute/path.db or postgres://host/database")
	}
	var d *database
	switch u.Scheme {
	case "sqlite":
		d, err = openSQLite(ctx, u)
	case "postgres", "postgresql":
		d, err = openPostgres(ctx, rawURL)
	default:
		err = fmt.Errorf("scheme %q is not one of sqlite, postgres, postgresql", u.Scheme)
	}
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	return d, nil
}
