package admission

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// begun is how much of a body must have arrived before the request counts, or all of a shorter
	// one.
	begun = 16 << 10
	// maxArrival is how long a body may take to arrive, and the client to read the answer. A busy
	// API server needs a second or two; it is at most half of our webhooks' timeout.
	maxArrival = 5 * time.Second
)

// arrival returns how long a body may take if its API server waits for timeout.
func arrival(timeout time.Duration) time.Duration { return min(timeout/2, maxArrival) }

// receive reads a body. Its first part must arrive within the given time; then letIn, given the
// body's size, may block; then the rest must arrive within the same time again. A client that stops
// sending therefore holds a few kilobytes, or its declared size for a few seconds.
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
	// No deadline while it waits.
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
	// HTTP/1 keeps reading to notice a client that leaves: that must not fail the request.
	return body, deadline(time.Time{})
}

func fill(part []byte, body io.Reader) error {
	if _, err := io.ReadFull(body, part); err != nil {
		return fmt.Errorf("the body did not arrive: %w", err)
	}
	return nil
}

// received is a body in memory that is released as soon as it has been read.
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

// prompt is a response that must be read by the client within a time limit: a request holds its
// place until then.
type prompt struct {
	http.ResponseWriter
	within time.Duration
}

func answerWithin(w http.ResponseWriter, within time.Duration) http.ResponseWriter {
	return &prompt{w, within}
}

func (p *prompt) Write(b []byte) (int, error) {
	// If unsupported, the server's WriteTimeout remains.
	_ = http.NewResponseController(p.ResponseWriter).SetWriteDeadline(time.Now().Add(p.within))
	return p.ResponseWriter.Write(b)
}

// Unwrap implements the interface of http.ResponseController.
func (p *prompt) Unwrap() http.ResponseWriter { return p.ResponseWriter }
