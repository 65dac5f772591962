package index

import (
	"errors"
	"slices"

	"modernc.org/sqlite"
)

// IsAway reports whether a database has answered that it cannot serve anybody at the moment: it is
// full, shuts down, lets nobody in, or is a standby. An error about what is to be stored is
// ErrRefused instead. Errors of connections are not looked at.
func IsAway(err error) bool { return isPostgresAway(err) || isSQLiteAway(err) }

// isPostgresAway decides by the class of the SQLSTATE
// (https://www.postgresql.org/docs/current/errcodes-appendix.html). A canceled statement (57014) may
// be due to what is stored: there may be a statement timeout.
func isPostgresAway(err error) bool {
	var said interface{ SQLState() string }
	if !errors.As(err, &said) || len(said.SQLState()) != 5 || said.SQLState() == "57014" {
		return false
	}
	state := said.SQLState()
	// connection, authorization, no such database, resources, operator, system; a read-only standby
	return slices.Contains([]string{"08", "28", "3D", "53", "57", "58"}, state[:2]) || state == "25006"
}

// isSQLiteAway decides by the primary result code (https://www.sqlite.org/rescode.html).
func isSQLiteAway(err error) bool {
	var said *sqlite.Error
	if !errors.As(err, &said) {
		return false
	}
	// BUSY, LOCKED, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB
	return slices.Contains([]int{5, 6, 8, 10, 11, 13, 14, 15, 26}, said.Code()&0xff)
}
