package admission

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// DefaultInFlight and knownInFlight bound memory: the sum of the bodies admitted at a time, of
// unauthenticated and of authenticated callers. A body holds a TaskRun before and after a write, at
// most 2.8 MiB at the object limit; decoding, comparing and answering take about four times that.
// Bodies that take more count for more (shape.go).
const (
	DefaultInFlight = 24 << 20
	knownInFlight   = 16 << 20
)

const (
	// maxBody is what controller-runtime reads of a request. Two stored objects have at most 1.5
	// MiB each; the rest is for writes that are too large, so that the guard's answer names the
	// result.
	maxBody = 7 << 20
	// minCharge is what a small request counts at least, for its other costs: the guard reads a Pod
	// from the API server.
	minCharge = 128 << 10
	// maxParked bounds, per lane, the bodies that have arrived but wait again because they weigh
	// more than their length; one address may have one of the largest.
	maxParked = 2 * maxBody
	// maxRequests bounds the requests of unauthenticated callers that are admitted or waiting, each
	// with at most 80 KiB of its body; addressRequests those of one address. API servers limit
	// their concurrent requests, too, by default to 600.
	maxRequests, addressRequests = 768, 256
	// maxTimeout is the longest timeoutSeconds of a webhook configuration.
	maxTimeout = 30 * time.Second
)

// A gate admits requests in order of arrival while the sum of their bodies is below a limit. The
// others wait, with all but the beginning of their bodies unread, as long as their API server does.
// Rejecting them instead would leave Pods without injection whenever many start at once.
//
// Declaring a large body costs others nothing: a request counts once its body has begun to arrive,
// and must arrive completely soon after it is admitted (body.go). Authenticated callers
// (callers.go) have a lane of their own. In the other lane, one address gets at most half: API
// servers come from few addresses, and a client that floods the port only locks out itself.
type gate struct{ known, others *lane }

func newGate(bytes int64) *gate {
	bytes = max(bytes, maxBody)
	return &gate{
		known:  newLane(knownInFlight),
		others: newLane(bytes).sharedBy(max(bytes/2, maxBody), maxRequests, addressRequests),
	}
}

// guarding passes admitted requests to next. unread answers those that must not be decoded.
func (g *gate) guarding(next http.Handler, unread func(w http.ResponseWriter, body []byte, why string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code, why := refusal(r); code != 0 {
			http.Error(w, why, code)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), timeoutOf(r))
		defer cancel()
		l, address := g.others, addressOf(r)
		if Authenticated(ctx) {
			l = g.known
		}
		if !l.enter(address) {
			http.Error(w, errBusy.Error(), http.StatusServiceUnavailable)
			return
		}
		defer l.leave(address)
		release := func() {}
		body, err := receive(w, r, arrival(timeoutOf(r)), func(size int64) (err error) {
			release, err = l.letIn(ctx, address, chargeOf(size))
			return err
		})
		defer func() { release() }()
		if err != nil {
			http.Error(w, err.Error(), codeOf(err))
			return
		}
		w = answerWithin(w, arrival(timeoutOf(r)))
		shape := shapeOf(body, maxDepth)
		if why := l.forbids(shape); why != "" {
			unread(w, body, why)
			return
		}
		if release, err = l.recharge(ctx, address, int64(len(body)), shape.weight(), release); err != nil {
			http.Error(w, err.Error(), codeOf(err))
			return
		}
		r = r.WithContext(ctx)
		r.Body = &received{rest: body}
		next.ServeHTTP(w, r)
	})
}

// chargeOf is what a body counts while only its length is known.
func chargeOf(length int64) int64 { return max(length, minCharge) }

// refusal returns why a request is rejected unread, 0 if it is not. API servers' requests never
// are.
func refusal(r *http.Request) (code int, why string) {
	switch {
	case r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed, "reviews are sent by POST"
	case r.ContentLength < 0:
		return http.StatusLengthRequired, "the request does not say how large it is"
	case r.ContentLength > maxBody:
		return http.StatusRequestEntityTooLarge, "the request is larger than two objects can be"
	}
	return 0, ""
}

var errBusy = errors.New("too many requests at a time: try again")

// codeOf returns the HTTP status for an error.
func codeOf(err error) int {
	switch {
	case errors.Is(err, errBusy):
		return http.StatusServiceUnavailable
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout
	}
	return http.StatusBadRequest
}

// timeoutOf returns how long the API server waits for the answer, from the query.
func timeoutOf(r *http.Request) time.Duration {
	timeout, err := time.ParseDuration(r.URL.Query().Get("timeout"))
	if err != nil || timeout <= 0 || timeout > maxTimeout {
		return maxTimeout
	}
	return timeout
}

// addressOf returns the sender's address, as far as the network shows it.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// lane limits one class of callers: the bodies admitted, in total (bytes) and per address (share);
// the bodies parked (see recharge); and the number of requests, in total (atMost) and per address
// (ofAddress). A share of 0 means no limits per address.
type lane struct {
	bytes, parked     *semaphore.Weighted
	size, share       int64
	atMost, ofAddress int

	mu        sync.Mutex
	requests  int
	addresses map[string]*sharer // those that have requests
}

// sharer is an address that has requests in a lane.
type sharer struct {
	requests      int
	bytes, parked *semaphore.Weighted
}

func newSharer(bytes, parked int64) *sharer {
	return &sharer{bytes: semaphore.NewWeighted(bytes), parked: semaphore.NewWeighted(parked)}
}

func newLane(bytes int64) *lane {
	return &lane{
		bytes: semaphore.NewWeighted(bytes), parked: semaphore.NewWeighted(maxParked), size: bytes,
		addresses: map[string]*sharer{},
	}
}

func (l *lane) sharedBy(share int64, atMost, ofAddress int) *lane {
	l.share, l.atMost, l.ofAddress = share, atMost, ofAddress
	return l
}

// enter counts a request, until leave, and reports whether there is room for it.
func (l *lane) enter(address string) bool {
	if l.share == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.addresses[address]
	if l.requests >= l.atMost || s != nil && s.requests >= l.ofAddress {
		return false
	}
	if s == nil {
		s = newSharer(l.share, maxBody)
		l.addresses[address] = s
	}
	l.requests++
	s.requests++
	return true
}

func (l *lane) leave(address string) {
	if l.share == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests--
	if s := l.addresses[address]; s.requests > 1 {
		s.requests--
	} else {
		delete(l.addresses, address)
	}
}

// sharerOf returns the entry of an address that has entered. Without shares, each request has the
// whole lane.
func (l *lane) sharerOf(address string) *sharer {
	if l.share == 0 {
		return newSharer(l.size, maxParked)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addresses[address]
}

// letIn blocks until there is room for a request of an address that has entered. It waits for the
// address's own share first, where it does not block others.
func (l *lane) letIn(ctx context.Context, address string, bytes int64) (release func(), err error) {
	share := l.sharerOf(address).bytes
	if share.Acquire(ctx, bytes) != nil {
		return func() {}, errBusy
	}
	if l.bytes.Acquire(ctx, bytes) != nil {
		share.Release(bytes)
		return func() {}, errBusy
	}
	return func() {
		l.bytes.Release(bytes)
		share.Release(bytes)
	}, nil
}

// forbids returns why a body of that shape must not be decoded, or "": it would exceed what can
// ever be free.
func (l *lane) forbids(s shape) string {
	most := l.size
	if l.share > 0 {
		most = l.share
	}
	switch {
	case s.tooDeep:
		return tooDeepMessage
	case s.weight() > most:
		return s.tooComplexMessage(most)
	}
	return ""
}

// recharge makes an admitted body count its weight instead of its length, if that is more. It
// releases its length and waits for the whole weight: two requests that kept what they have and
// waited for the rest would deadlock. Meanwhile the body is in memory without counting, so it is
// parked; if too much is parked, it is rejected. A parked request holds nothing that others wait
// for.
func (l *lane) recharge(
	ctx context.Context, address string, length, weight int64, release func(),
) (func(), error) {
	if weight <= chargeOf(length) {
		return release, nil
	}
	share := l.sharerOf(address).parked
	if !share.TryAcquire(length) {
		return release, errBusy
	}
	defer share.Release(length)
	if !l.parked.TryAcquire(length) {
		return release, errBusy
	}
	defer l.parked.Release(length)
	release()
	return l.letIn(ctx, address, weight)
}

// http2Windows sizes HTTP/2's flow control so that waiting requests cannot block admitted ones.
// They share a connection, and unread data counts against the connection's window: with Go's
// defaults one waiting request of 1 MiB fills it, and no other body arrives. Here the windows of
// all streams together fit into the connection's. A client that needs more streams opens another
// connection.
func http2Windows() *http.HTTP2Config {
	const streams, window = 60, 64 << 10 // together below net/http's bound of 4 MiB
	return &http.HTTP2Config{
		MaxConcurrentStreams:          streams,
		MaxReceiveBufferPerStream:     window,
		MaxReceiveBufferPerConnection: streams * window,
	}
}
