package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite" // the driver "sqlite" in Go: the binaries are built without a C compiler
)

var sqliteDialect = dialect{
	name: sqlite3,
	types: strings.NewReplacer("{id}", "INTEGER PRIMARY KEY", "{key}", "INTEGER PRIMARY KEY", "{text}", "TEXT",
		"{bytes}", "BLOB", "{clustered}", " WITHOUT ROWID"),
	// _txlock takes the write lock when the transaction begins.
	lock: `SELECT 1`,
	ids:  sqliteIDs, any: sqliteAny, list: sqliteList, streams: sqliteStreams,
	refuses: sqliteRefuses,
	exists:  `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'indelible_schema')`,
}

// sqliteRefuses knows the result codes for values that are too big, violate a constraint, have the
// wrong type, or are too many.
func sqliteRefuses(err error) bool {
	const tooBig, constraint, mismatch, outOfRange = 18, 19, 20, 25
	var said *sqlite.Error
	if !errors.As(err, &said) {
		return false
	}
	return slices.Contains([]int{tooBig, constraint, mismatch, outOfRange}, said.Code()&0xff)
}

const (
	// sqliteBusy is SQLite's result code for a lock that another connection holds.
	sqliteBusy = 5
	// sqlitePatience is how long a connection waits for such a lock.
	sqlitePatience = 30 * time.Second
)

// openSQLite opens a file. While one program switches a new file to a write-ahead log, SQLite
// answers others that it is busy, without waiting. So it tries again.
func openSQLite(ctx context.Context, u *url.URL, reader bool) (*database, error) {
	if u.Host != "" || u.RawQuery != "" || !filepath.IsAbs(u.Path) {
		return nil, fmt.Errorf(
			"%w: an SQLite index is sqlite:// and an absolute path, such as sqlite:///var/lib/indelible/index.db",
			ErrURL)
	}
	if _, err := os.Stat(u.Path); reader && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", u.Path, errNone)
	}
	if err := os.MkdirAll(filepath.Dir(u.Path), 0o750); err != nil {
		return nil, err
	}
	for until := time.Now().Add(sqlitePatience); ; {
		d, err := openSQLiteFile(ctx, u.Path, reader)
		var busy *sqlite.Error
		if err == nil || !errors.As(err, &busy) || busy.Code()&0xff != sqliteBusy || time.Now().After(until) {
			return d, err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// openSQLiteFile opens the connections: one for writing, as SQLite has one writer at a time, and
// others for reading, which the write-ahead log allows meanwhile.
func openSQLiteFile(ctx context.Context, path string, reader bool) (*database, error) {
	write, err := sql.Open("sqlite", sqliteSource(path, "immediate"))
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	read, err := sql.Open("sqlite", sqliteSource(path, "deferred"))
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(8)
	d, err := newDatabase(ctx, sqliteDialect, read, write, reader)
	if err != nil {
		return nil, fmt.Errorf("%s (if the file is damaged, delete it and rebuild the index): %w", path, err)
	}
	return d, nil
}

// sqliteSource returns the file's URL with its settings. With synchronous=NORMAL a power failure
// may lose the last rows, which Sync restores, but never damages the file. Pages of 16 KiB waste
// less space with rows of half a KiB than the default of 4 KiB.
func sqliteSource(path, lock string) string {
	settings := url.Values{
		"_txlock":       {lock},
		"_busy_timeout": {strconv.FormatInt(sqlitePatience.Milliseconds(), 10)}, "_journal_mode": {"WAL"},
		"_synchronous": {"NORMAL"},
		// The driver applies these first: a file in WAL mode keeps its page size. The cache is per
		// connection, in KiB. Its memory is the driver's, which Go's garbage collector neither
		// counts nor limits, and rounded up to as much as twice the size.
		"_pragma": {"page_size(16384)", "cache_size(-2048)"},
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: settings.Encode()}).String()
}
