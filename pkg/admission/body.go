package admission

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// begun is how much of a body, if it has that much, must have arrived before a request counts.
	begun = 16 << 10
	// maxArrival is how long a body may take to arrive, and an answer to be taken: a second or two for an API
	// server that is out of breath, and half of the timeout of our webhooks at the most.
	maxArrival = 5 * time.Second
)

// arrival is how long the body of a request may take whose API server waits that long.
func arrival(timeout time.Duration) time.Duration { return min(timeout/2, maxArrival) }

// receive reads a body. Its beginning must come within that time; then letIn, told the body's size, may make it
// wait; and then the rest must come within that time again. So a client that stops sending holds, of what others
// need, a few kilobytes, or what it has declared for a few seconds.
func receive(
	w http.ResponseWriter, r *http.Request, within time.Duration, letIn func(size int64) error,
) ([]byte, error) {
	timing := http.NewResponseController(w)
	deadline := func(at time.Time) error {
		if err := timing.SetReadDeadline(at); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return fmt.Errorf("bounding the time of the body: %w", err)
		}
		return nil
	}
	if err := deadline(time.Now().Add(within)); err != nil {
		return nil, err
	}
	first := make([]byte, min(r.ContentLength, begun))
	if err := fill(first, r.Body); err != nil {
		return nil, err
	}
	// While it waits, nobody else's deadline ends it.
	if err := deadline(time.Time{}); err != nil {
		return nil, err
	}
	if err := letIn(r.ContentLength); err != nil {
		return nil, err
	}
	if r.ContentLength == int64(len(first)) {
		return first, nil
	}
	if err := deadline(time.Now().Add(within)); err != nil {
		return nil, err
	}
	body := make([]byte, r.ContentLength)
	if err := fill(body[copy(body, first):], r.Body); err != nil {
		return nil, err
	}
	// HTTP/1 goes on reading, to see the client leave: that must not fail the request.
	return body, deadline(time.Time{})
}

func fill(part []byte, body io.Reader) error {
	if _, err := io.ReadFull(body, part); err != nil {
		return fmt.Errorf("the body did not arrive: %w", err)
	}
	return nil
}

// received is a body that was read, and is forgotten as soon as somebody has read it from here.
type received struct{ rest []byte }

func (b *received) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		b.rest = nil
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *received) Close() error { return nil }

// prompt is an answer that must be taken within some time of its being written: a request holds its place until
// then.
type prompt struct {
	http.ResponseWriter
	within time.Duration
}

func answerWithin(w http.ResponseWriter, within time.Duration) http.ResponseWriter {
	return &prompt{w, within}
}

func (p *prompt) Write(b []byte) (int, error) {
	// Where it is not supported, the server's own WriteTimeout remains.
	_ = http.NewResponseController(p.ResponseWriter).SetWriteDeadline(time.Now().Add(p.within))
	return p.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (p *prompt) Unwrap() http.ResponseWriter { return p.ResponseWriter }
