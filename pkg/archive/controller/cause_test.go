package controller

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// answer is an error of the AWS SDK with the status of the response.
type answer int

func (a answer) Error() string       { return fmt.Sprintf("status %d", int(a)) }
func (a answer) HTTPStatusCode() int { return int(a) }

func TestCauseOfAnError(t *testing.T) {
	cut := &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	for name, tt := range map[string]struct {
		err  error
		want cause
	}{
		"a damaged commit":                         {manifest.ErrDamaged, ownFault},
		"a commit of a later version":              {manifest.ErrVersion, ownFault},
		"a commit that cannot be made":             {manifest.ErrInvalid, ownFault},
		"damage that may be a cut connection":      {fmt.Errorf("%w: %w", manifest.ErrDamaged, cut), ownFault},
		"a row that cannot be in the index":        {fmt.Errorf("%w: too long", index.ErrRefused), ownFault},
		"a Postgres without space":                 {&pgconn.PgError{Code: "53100"}, outage},
		"a statement that Postgres canceled":       {&pgconn.PgError{Code: "57014"}, unclear},
		"no connection to Postgres":                {driver.ErrBadConn, outage},
		"an index that is not open yet":            {fmt.Errorf("%w: refused", index.ErrUnavailable), outage},
		"an object store that answers 503":         {answer(503), outage},
		"an object store that forbids":             {answer(403), unclear},
		"no route to the store":                    {&url.Error{Op: "Put", Err: errors.New("no route")}, outage},
		"a refused connection":                     {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, outage},
		"a timeout":                                {context.DeadlineExceeded, outage},
		"a response that was cut off":              {io.ErrUnexpectedEOF, outage},
		"a full disk":                              {&fs.PathError{Op: "write", Err: syscall.ENOSPC}, outage},
		"a name that is too long for a disk":       {&fs.PathError{Op: "open", Err: syscall.ENAMETOOLONG}, unclear},
		"an object that is missing after a write":  {store.ErrNotExist, unclear},
		"an error that nobody has thought of":      {errors.New("no"), unclear},
		"an outage during which discarding failed": {errors.Join(errors.New("no"), cut), outage},
	} {
		t.Run(name, func(t *testing.T) {
			if got := causeOf(fmt.Errorf("archive: %w", tt.err)); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
