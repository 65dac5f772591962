package server

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
)

// frameHeader is the size of what precedes each gRPC message: a compression flag and the length.
const frameHeader = 5

// publicMessage bounds the messages of callers that are not authenticated.
const publicMessage = 4 << 10

// flow is the body of a gRPC request. grpc.Server.ServeHTTP reads a body into an unbounded queue,
// however slow the handler is. So a flow returns a message only when the handler wants it. What a
// client sends before that stays in HTTP/2's window, or with the client.
type flow struct {
	body    io.ReadCloser
	gone    <-chan struct{}
	bodies  *bodies
	caller  string
	control *http.ResponseController
	// time is how long the client may take to send a message.
	time time.Duration
	// streams: the client may send several messages. largest bounds a message.
	streams bool
	largest uint32

	// length is that of the current message, left how much of it has not been read.
	length, left uint32
	// seen counts the messages whose header was read.
	seen int64

	mu sync.Mutex
	// wanted counts the messages that the handler has requested, taken the bytes of the last one.
	wanted, taken int64
	more          chan struct{}
	closed        chan struct{}
	closing       sync.Once
}

// flowOf returns the body of a gRPC request as a flow, which must be released.
func (s *Server) flowOf(w http.ResponseWriter, r *http.Request) *flow {
	f := &flow{
		body: r.Body, gone: r.Context().Done(), bodies: s.bodies, caller: keyOf(r),
		control: http.NewResponseController(w), streams: s.clientStreams[r.URL.Path],
		largest: math.MaxUint32, time: s.BodyTime,
		wanted: 1, more: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	if isPublic(r.URL.Path) {
		f.largest = publicMessage
	}
	f.deadline(time.Now().Add(s.BodyTime))
	return f
}

func (f *flow) deadline(at time.Time) { _ = f.control.SetReadDeadline(at) } // HTTP/2 supports deadlines

// Read implements io.Reader. It fills p or ends a message, because grpc keeps each p, however
// little is in it.
func (f *flow) Read(p []byte) (int, error) {
	if f.left == 0 {
		return f.readHeader(p)
	}
	if err := f.wait(); err != nil {
		return 0, err
	}
	if f.seen > 1 && f.left == f.length {
		f.deadline(time.Now().Add(f.time))
	}
	n, err := io.ReadFull(f.body, p[:min(len(p), int(f.left))])
	if !f.take(int64(n)) {
		// grpc turns it into ResourceExhausted.
		return 0, http2.StreamError{Code: http2.ErrCodeEnhanceYourCalm, Cause: errBusy}
	}
	f.left -= uint32(n) //nolint:gosec // at most what is left
	if f.left == 0 && f.streams {
		f.deadline(time.Time{}) // the next message may come much later
	}
	return n, late(err)
}

func (f *flow) readHeader(p []byte) (int, error) {
	if len(p) < frameHeader {
		return 0, io.ErrShortBuffer
	}
	n, err := io.ReadFull(f.body, p[:frameHeader])
	if err != nil {
		return n, late(err)
	}
	f.length = binary.BigEndian.Uint32(p[1:frameHeader])
	f.left = f.length
	f.seen++
	switch {
	case f.seen > 1 && !f.streams:
		return 0, http2.StreamError{Code: http2.ErrCodeProtocol, Cause: errors.New("more than one message")}
	case f.length > f.largest:
		return 0, http2.StreamError{Code: http2.ErrCodeEnhanceYourCalm, Cause: errors.New("the message is too large")}
	case f.length == 0 && f.streams:
		f.deadline(time.Time{})
		return n, f.wait() // even an empty message takes memory
	}
	return n, nil
}

// wait waits until the handler wants the current message.
func (f *flow) wait() error {
	for {
		f.mu.Lock()
		wanted := f.wanted >= f.seen
		f.mu.Unlock()
		if wanted {
			return nil
		}
		select {
		case <-f.more:
		case <-f.gone:
			return io.ErrUnexpectedEOF
		case <-f.closed:
			return io.ErrUnexpectedEOF
		}
	}
}

func (f *flow) take(n int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.bodies.take(f.caller, n) {
		return false
	}
	f.taken += n
	return true
}

// want is called when the handler requests message n: it is done with those before.
func (f *flow) want(n int64) {
	f.mu.Lock()
	f.wanted = max(f.wanted, n)
	taken := int64(0)
	if n > 1 {
		taken, f.taken = f.taken, 0
	}
	f.mu.Unlock()
	f.bodies.release(f.caller, taken)
	select {
	case f.more <- struct{}{}:
	default:
	}
}

func (f *flow) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bodies.release(f.caller, f.taken)
	f.taken = 0
}

func late(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return http2.StreamError{Code: http2.ErrCodeCancel, Cause: errTooLong}
	}
	return err
}

// Close implements io.Closer.
func (f *flow) Close() error {
	f.closing.Do(func() { close(f.closed) })
	return f.body.Close()
}

// flowStream reports its handler's requests to a flow.
type flowStream struct {
	grpc.ServerStream
	flow   *flow
	wanted int64
}

// RecvMsg implements grpc.ServerStream.
func (s *flowStream) RecvMsg(to any) error {
	s.wanted++
	s.flow.want(s.wanted)
	return s.ServerStream.RecvMsg(to)
}

// withFlow makes a stream report to its flow, if it has one.
func withFlow(stream grpc.ServerStream) grpc.ServerStream {
	if f, ok := stream.Context().Value(bodyKey).(*flow); ok {
		return &flowStream{ServerStream: stream, flow: f}
	}
	return stream
}
