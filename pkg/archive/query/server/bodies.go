package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// refusedTime is how long a connection stays open for a body that is not read, so that the
	// client sees the response before the connection is reset.
	refusedTime = time.Second
	// maxBodies bounds the bytes of requests in memory, and callerBodies those of one caller.
	maxBodies    = 64 << 20
	callerBodies = maxBodies / 4
)

var (
	errBusy    = status.Error(codes.ResourceExhausted, "too many bytes of requests in memory: try again later")
	errTooLong = status.Error(codes.DeadlineExceeded, "the request's body took too long to arrive")
)

// bodies counts the bytes of requests in memory.
type bodies struct {
	most, ofCaller int64

	mu       sync.Mutex
	all      int64
	byCaller map[string]int64
}

func newBodies() *bodies {
	return &bodies{most: maxBodies, ofCaller: callerBodies, byCaller: map[string]int64{}}
}

// take reserves bytes for a caller, and reports whether there was room.
func (b *bodies) take(caller string, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all+n > b.most || b.byCaller[caller]+n > b.ofCaller {
		return false
	}
	b.all += n
	b.byCaller[caller] += n
	return true
}

func (b *bodies) release(caller string, n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all -= n
	if b.byCaller[caller] -= n; b.byCaller[caller] == 0 {
		delete(b.byCaller, caller)
	}
}

// keyOf returns whose share of bodies a request uses: the caller's, or the address's if the method
// is public.
func keyOf(r *http.Request) string {
	if caller, err := callerOf(r.Context()); err == nil {
		return caller.Key()
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return "address " + host
}

// restBody is the body of a REST request. It has a deadline, and its bytes are counted as they are
// read.
type restBody struct {
	io.ReadCloser
	bodies  *bodies
	caller  string
	control *http.ResponseController
	taken   int64
	// err is why the body was not read to its end.
	err error
}

// restBodyOf gives a request a bounded body, which must be released.
func (s *Server) restBodyOf(w http.ResponseWriter, r *http.Request) (*restBody, *http.Request) {
	b := &restBody{bodies: s.bodies, caller: keyOf(r), control: http.NewResponseController(w)}
	r = r.WithContext(context.WithValue(r.Context(), bodyKey, b))
	b.ReadCloser = http.MaxBytesReader(w, r.Body, int64(s.MaxMessage))
	if hasBody(r) {
		_ = b.control.SetReadDeadline(time.Now().Add(s.BodyTime)) // net/http supports deadlines
	}
	r.Body = b
	return b, r
}

// hasBody says whether a body follows the header.
func hasBody(r *http.Request) bool { return r.ContentLength != 0 }

func (b *restBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p)
	var large *http.MaxBytesError
	switch {
	case !b.bodies.take(b.caller, int64(n)):
		b.err = errBusy
		return 0, b.err
	case errors.Is(err, io.EOF):
		// The response may take longer, and a passed deadline would cancel the request.
		_ = b.control.SetReadDeadline(time.Time{})
	case errors.As(err, &large):
		b.err = status.Errorf(codes.ResourceExhausted, "the request's body is over %d bytes", large.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.err = errTooLong
	}
	b.taken += int64(n)
	if b.err != nil {
		err = b.err
	}
	return n, err
}

func (b *restBody) release() { b.bodies.release(b.caller, b.taken) }

// bodyError responds with the reason why a body could not be read, which the gateway takes for bad
// JSON.
func bodyError(ctx context.Context, mux *runtime.ServeMux, m runtime.Marshaler, w http.ResponseWriter,
	r *http.Request, err error,
) {
	if b, ok := r.Context().Value(bodyKey).(*restBody); ok && b.err != nil {
		err = b.err
		if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close") // do not wait for the rest of the body
		}
		_ = b.control.SetReadDeadline(time.Now().Add(refusedTime))
	}
	runtime.DefaultHTTPErrorHandler(ctx, mux, m, w, r, err)
}
