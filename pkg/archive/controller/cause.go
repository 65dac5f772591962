package controller

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"net/url"
	"syscall"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
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

// isStoring reports whether a phase needs the store or the index, and little else.
func isStoring(phase string) bool { return phase == "commit" || phase == "record" || phase == "index" }

// causeOf is the only place that decides what an error of a phase means. Errors about the content
// come first: an object that is cut off may be wrapped in the same error as its connection.
func causeOf(err error) cause {
	switch {
	case errors.Is(err, manifest.ErrDamaged), errors.Is(err, manifest.ErrVersion),
		errors.Is(err, manifest.ErrInvalid), errors.Is(err, index.ErrRefused):
		return ownFault
	case errors.Is(err, index.ErrUnavailable), errors.Is(err, index.ErrVersion),
		index.IsAway(err), store.IsAway(err), isAway(err):
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

// isAway reports whether an error is of a connection or a system call that does not depend on what
// is stored. Every errno is a net.Error, also that of a name that is too long, so only timeouts
// count as such.
func isAway(err error) bool {
	var call *url.Error
	var connection *net.OpError
	var lookup *net.DNSError
	var network net.Error
	if errors.As(err, &call) || errors.As(err, &connection) || errors.As(err, &lookup) ||
		errors.As(err, &network) && network.Timeout() {
		return true
	}
	for _, away := range append([]error{
		context.DeadlineExceeded, driver.ErrBadConn, sql.ErrConnDone, net.ErrClosed, io.ErrUnexpectedEOF,
	}, awayCalls...) {
		if errors.Is(err, away) {
			return true
		}
	}
	return false
}
