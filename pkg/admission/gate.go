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

// DefaultInFlight and knownInFlight bound memory: they are the bodies of all requests let in at a time, of
// callers that did not and that did authenticate. A body is a TaskRun before and after, at most 2.8 MiB with
// objects at their limit; decoding, comparing and answering take about four times that. A body that takes more
// counts as more (see shape.go).
const (
	DefaultInFlight = 24 << 20
	knownInFlight   = 16 << 20
)

const (
	// maxBody is what controller-runtime reads of a request. What can be stored is two objects of at most 1.5
	// MiB each; the rest is for writes that are too large, so that the guard's answer says which result is.
	maxBody = 7 << 20
	// minCharge makes small requests count as more, for what a request costs beside its body: the guard asks the
	// API server for a Pod.
	minCharge = 128 << 10
	// maxParked are the bodies in each lane that have come and wait, because they weigh more than their length; of one
	// address there is one of the largest.
	maxParked = 2 * maxBody
	// maxRequests are those of unauthenticated callers that are let in or wait, each with at most 80 KiB of a
	// body; and of one address. API servers bound what they have under way as well, by default to 600.
	maxRequests, addressRequests = 768, 256
	// maxTimeout is the longest timeout a webhook configuration can have (timeoutSeconds).
	maxTimeout = 30 * time.Second
)

// A gate lets requests in, in the order they come, as long as the sum of their bodies stays below a bound. The
// others wait, with all but the beginning of their bodies unread, as long as their API server does. Turning them
// away instead would leave Pods without injection whenever many start at a time.
//
// What a client declares costs nobody anything: a request counts once its body has begun to arrive, and must
// have come whole soon after it was let in (see body.go). Callers that authenticate (see callers.go) have a lane
// of their own. In the other one no address has more than half: API servers come from few addresses, and a
// client that floods the port from one keeps only itself out.
type gate struct{ known, others *lane }

func newGate(bytes int64) *gate {
	bytes = max(bytes, maxBody)
	return &gate{
		known:  newLane(knownInFlight),
		others: newLane(bytes).sharedBy(max(bytes/2, maxBody), maxRequests, addressRequests),
	}
}

// guarding lets requests through to next. unread answers what must not be decoded.
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

// chargeOf is what a body counts before anything but its length is known.
func chargeOf(length int64) int64 { return max(length, minCharge) }

// refusal is why a request is not worth reading, 0 if it is. API servers send all that.
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

// codeOf tells what the client may be blamed for.
func codeOf(err error) int {
	switch {
	case errors.Is(err, errBusy):
		return http.StatusServiceUnavailable
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout
	}
	return http.StatusBadRequest
}

// timeoutOf is how long the API server waits for the answer. It says so in the query.
func timeoutOf(r *http.Request) time.Duration {
	timeout, err := time.ParseDuration(r.URL.Query().Get("timeout"))
	if err != nil || timeout <= 0 || timeout > maxTimeout {
		return maxTimeout
	}
	return timeout
}

// addressOf is who sends a request, as far as a network can tell.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// lane is a bound on the bodies of one class of callers, let in and parked (see recharge). share, atMost and ofAddress are bounds on what one address
// has let in in bytes, and on requests, in all and of one address; 0 is none.
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

// enter counts a request, to be taken back by leave, and reports whether there is place for it.
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

// sharerOf is an address that has entered. Where nobody has a share, each request has all there is.
func (l *lane) sharerOf(address string) *sharer {
	if l.share == 0 {
		return newSharer(l.size, maxParked)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addresses[address]
}

// letIn waits until there is room for a request of an address that has entered. It waits for the address' own
// share first: what waits there is in nobody else's way.
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

// forbids is why a body of that shape must not be decoded, "" if it may: more than there is will never be free.
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

// recharge makes a body that was let in for its length count as its weight, if that is more. It gives back what it
// has and waits anew, for all of it: two that kept what they have and waited for the rest would wait for each
// other. Until then it is a body in memory that counts nowhere else, so it is parked, or turned away where too much
// is. What is parked holds nothing that anybody waits for.
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

// http2Windows sizes HTTP/2's flow control so that requests that wait cannot stop those that were let in. They
// share a connection, and what is sent of an unread body counts against that connection's window: with Go's
// defaults one waiting request of 1 MiB fills it, and nobody's body arrives any more. Here the windows of all
// streams together fit into the connection's. A client that wants more streams opens another connection.
func http2Windows() *http.HTTP2Config {
	const streams, window = 60, 64 << 10 // together below net/http's bound of 4 MiB
	return &http.HTTP2Config{
		MaxConcurrentStreams:          streams,
		MaxReceiveBufferPerStream:     window,
		MaxReceiveBufferPerConnection: streams * window,
	}
}
