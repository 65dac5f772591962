package admission

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
)

// DefaultInFlight bounds memory. A body is a TaskRun before and after, at most 2.8 MiB with objects at their
// limit; decoding, comparing and answering take about four times that. 32 MiB let a dozen of the
// largest in at a time, within the memory limit of the Deployment, and hundreds of ordinary ones.
const DefaultInFlight = 32 << 20

const (
	// maxBody is what controller-runtime reads of a request: twice an API server's own bound of 3 MiB, and 1 MiB.
	maxBody = 7 << 20
	// minCharge makes small requests count as more, for what a request costs beside its body.
	minCharge = 64 << 10
	// maxTimeout is the longest timeout a webhook configuration can have (timeoutSeconds).
	maxTimeout = 30 * time.Second
)

// A gate lets requests in, in the order they come, as long as the sum of their bodies stays below a bound. The
// others wait, with their bodies unread, as long as their API server does. Turning them away instead would leave
// Pods without injection whenever many start at a time.
type gate struct {
	inFlight *semaphore.Weighted
}

func newGate(bytes int64) *gate { return &gate{inFlight: semaphore.NewWeighted(max(bytes, maxBody))} }

func (g *gate) guarding(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > maxBody {
			http.Error(w, "the request is larger than two objects can be", http.StatusRequestEntityTooLarge)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), timeoutOf(r))
		defer cancel()
		charge := int64(maxBody) // of unknown length
		if r.ContentLength >= 0 {
			charge = max(r.ContentLength, minCharge)
		}
		if err := g.inFlight.Acquire(ctx, charge); err != nil {
			http.Error(w, "too many requests at a time: try again", http.StatusServiceUnavailable)
			return
		}
		defer g.inFlight.Release(charge)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// timeoutOf is how long the API server waits for the answer. It says so in the query.
func timeoutOf(r *http.Request) time.Duration {
	timeout, err := time.ParseDuration(r.URL.Query().Get("timeout"))
	if err != nil || timeout <= 0 || timeout > maxTimeout {
		return maxTimeout
	}
	return timeout
}

// http2Windows sizes HTTP/2's flow control so that requests that wait cannot stop those that were let in. They share
// a connection, and what is sent of an unread body counts against that connection's window: with Go's
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
