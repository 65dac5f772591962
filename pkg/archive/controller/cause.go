package controller

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"syscall"

	"gocloud.dev/gcerrors"
	"modernc.org/sqlite"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

// cause is why an attempt failed.
type cause int

const (
	// unclear: nothing is known. Only that it happens to runs of several namespaces, and to no run
	// otherwise, makes it an outage.
	unclear cause = iota
	// outage: the store or the index does not answer, is full or lets nobody in. It would fail for
	// other runs as well.
	outage
	// ownFault: it is what the run contains, and happens to this run only. Users determine what
	// runs contain, so it must never delay other runs.
	ownFault
)

// causeOf is the only place that decides what an error of a phase means. Errors about the content
// come first: an object that is cut off may be wrapped in the same error as its connection.
func causeOf(err error) cause {
	switch {
	case errors.Is(err, manifest.ErrDamaged), errors.Is(err, manifest.ErrVersion),
		errors.Is(err, manifest.ErrInvalid), errors.Is(err, index.ErrRefused):
		return ownFault
	case errors.Is(err, index.ErrUnavailable), errors.Is(err, index.ErrVersion):
		return outage
	}
	for _, of := range []func(error) cause{causeInPostgres, causeInSQLite, causeOfStatus, causeInSystem} {
		if c := of(err); c != unclear {
			return c
		}
	}
	return unclear
}

// causeInPostgres decides by the class of the SQLSTATE
// (https://www.postgresql.org/docs/current/errcodes-appendix.html). A canceled statement (57014) is
// unclear: a statement timeout may be due to what the run contains.
func causeInPostgres(err error) cause {
	var refused interface{ SQLState() string }
	if !errors.As(err, &refused) || len(refused.SQLState()) != 5 {
		return unclear
	}
	switch state := refused.SQLState(); {
	case state == "57014":
		return unclear
	// cardinality, data, constraints, program limits
	case slices.Contains([]string{"21", "22", "23", "54"}, state[:2]):
		return ownFault
	// connection, authorization, no such database, resources, operator, system; a read-only standby
	case slices.Contains([]string{"08", "28", "3D", "53", "57", "58"}, state[:2]), state == "25006":
		return outage
	}
	return unclear
}

// causeInSQLite decides by the primary result code (https://www.sqlite.org/rescode.html).
func causeInSQLite(err error) cause {
	var refused *sqlite.Error
	if !errors.As(err, &refused) {
		return unclear
	}
	switch refused.Code() & 0xff {
	case 18, 19, 20, 25: // TOOBIG, CONSTRAINT, MISMATCH, RANGE
		return ownFault
	case 5, 6, 8, 10, 11, 13, 14, 15, 26: // BUSY, LOCKED, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB
		return outage
	}
	return unclear
}

// awayText matches an answer of GCS or Azure that says that the service is away: their errors have
// the status in their text.
var awayText = regexp.MustCompile(`googleapi: Error (408|429|5\d\d)|RESPONSE (408|429|5\d\d)`)

// causeOfStatus decides by what an object store answered. 403 is unclear: a gateway may refuse an
// object for its content.
func causeOfStatus(err error) cause {
	var answered interface{ HTTPStatusCode() int } // AWS
	if errors.As(err, &answered) {
		switch code := answered.HTTPStatusCode(); {
		case code >= http.StatusInternalServerError, code == http.StatusTooManyRequests,
			code == http.StatusRequestTimeout, code == http.StatusUnauthorized:
			return outage
		}
	}
	switch gcerrors.Code(err) {
	case gcerrors.DeadlineExceeded, gcerrors.ResourceExhausted, gcerrors.Internal:
		return outage
	}
	if awayText.MatchString(err.Error()) {
		return outage
	}
	return unclear
}

// awayCalls are the results of system calls that mean that a disk or a peer is away.
var awayCalls = []error{
	syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.ESTALE, syscall.ENODEV, syscall.ENXIO,
	syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ETIMEDOUT, syscall.ENOTCONN, syscall.EHOSTDOWN,
	syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.ENETUNREACH, syscall.ECONNREFUSED, syscall.ECONNRESET,
	syscall.ECONNABORTED, syscall.EPIPE,
}

// causeInSystem decides by errors of connections and system calls. Every errno is a net.Error, also
// that of a name that is too long, so only timeouts count as such.
func causeInSystem(err error) cause {
	var call *url.Error
	var connection *net.OpError
	var lookup *net.DNSError
	var network net.Error
	if errors.As(err, &call) || errors.As(err, &connection) || errors.As(err, &lookup) ||
		errors.As(err, &network) && network.Timeout() {
		return outage
	}
	for _, away := range append([]error{
		context.DeadlineExceeded, driver.ErrBadConn, sql.ErrConnDone, net.ErrClosed, io.ErrUnexpectedEOF,
	}, awayCalls...) {
		if errors.Is(err, away) {
			return outage
		}
	}
	return unclear
}
