package admission

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// TestGate holds the first request in the handler until all others have had to wait for it.
func TestGate(t *testing.T) {
	const size = 1 << 20
	entered, leave := make(chan struct{}, 100), make(chan struct{})
	s := start(t, Options{InFlight: maxBody,
		Guard: admission.HandlerFunc(func(context.Context, admission.Request) admission.Response {
			entered <- struct{}{}
			<-leave
			return admission.Allowed("")
		})})
	var requests sync.WaitGroup
	for i := range 16 {
		requests.Go(func() {
			if status, text, _ := s.post(t, "/guard?timeout=30s",
				bytes.NewReader(review(fmt.Sprint(i), size))); status != http.StatusOK {
				t.Errorf("request %d: status %d: %s", i, status, text)
			}
		})
	}
	for range 6 { // of 7 MiB, each takes a little more than one
		<-entered
	}
	t.Run("gives up when the API server does", func(t *testing.T) {
		if status, text, _ := s.post(t, "/guard?timeout=50ms",
			bytes.NewReader(review("late", size))); status != http.StatusServiceUnavailable {
			t.Errorf("status %d, want 503: %s", status, text)
		}
	})
	if n := len(entered); n != 0 {
		t.Errorf("%d requests more than fit were let in", n)
	}
	// All others share a connection with requests that wait in front of them; each is let in all
	// the same.
	close(leave)
	requests.Wait()
}

// TestIdleBodies: bodies that are declared but never arrive block nobody. The lane has room for one
// body of that size.
func TestIdleBodies(t *testing.T) {
	tests := map[string]struct {
		protocol string
		sent     int
	}{
		"of which nothing comes":                    {"http/1.1", 0},
		"of which the beginning comes":              {"http/1.1", begun - 1},
		"of which nothing comes, over HTTP/2":       {"h2", 0},
		"of which the beginning comes, over HTTP/2": {"h2", begun - 1},
	}
	for name, tc := range tests {
		t.Run("forbid bodies "+name+" to keep others waiting", func(t *testing.T) {
			s := start(t, Options{InFlight: maxBody, Guard: saying("guard")})
			client := s.over(tc.protocol)
			for range 5 {
				client.stall(t, "/guard?timeout=30s", maxBody, tc.sent)
			}
			if status, text, _ := s.post(t, "/guard?timeout=30s",
				bytes.NewReader(review("u-1", 6<<20))); status != http.StatusOK {
				t.Errorf("status %d: %s", status, text)
			}
		})
	}
}

// TestSlowBodies: a body that stops is abandoned, wherever it stops, and its share is released.
func TestSlowBodies(t *testing.T) {
	for name, sent := range map[string]int{"before it is let in": 10, "after it was let in": begun + 10} {
		for _, protocol := range []string{"http/1.1", "h2"} {
			t.Run("forbid a body to stop "+name+" over "+protocol, func(t *testing.T) {
				s := start(t, Options{InFlight: maxBody, Guard: saying("guard")})
				stalled := s.over(protocol).stall(t, "/guard?timeout=200ms", maxBody, sent)
				if got := <-stalled; got != "408 Request Timeout" {
					t.Errorf("a body that stops is answered %q, want 408", got)
				}
				if status, text, _ := s.post(t, "/guard?timeout=30s",
					bytes.NewReader(review("u-1", 6<<20))); status != http.StatusOK {
					t.Errorf("and then the next one: status %d: %s", status, text)
				}
			})
		}
	}
	t.Run("forbid an arrival as long as the API server's patience", func(t *testing.T) {
		if got := arrival(maxTimeout); got != maxArrival {
			t.Errorf("with a timeout of %s a body may take %s, want %s", maxTimeout, got, maxArrival)
		}
		if got := arrival(maxArrival); got != maxArrival/2 {
			t.Errorf("with a timeout of %s a body may take %s, want half of it", maxArrival, got)
		}
	})
}

// timed is a response that records the calls it gets, in order.
type timed struct {
	httptest.ResponseRecorder
	told []string
}

func (w *timed) SetReadDeadline(at time.Time) error {
	w.told = append(w.told, map[bool]string{true: "read without end", false: "read in time"}[at.IsZero()])
	return nil
}

func (w *timed) SetWriteDeadline(time.Time) error {
	w.told = append(w.told, "write in time")
	return nil
}

func (w *timed) Write(b []byte) (int, error) { w.told = append(w.told, "write"); return len(b), nil }

// TestDeadlines: a client's time runs while it sends or takes, and at no other time: neither while
// it waits for others, nor while its request is decided (HTTP/1 goes on reading then, and a
// deadline would end the request).
func TestDeadlines(t *testing.T) {
	for name, tc := range map[string]struct {
		size int
		want []string
	}{
		"of a body that is all beginning": {10, []string{"read in time", "read without end", "let in"}},
		"of a large body": {2 * begun, []string{"read in time", "read without end", "let in", "read in time",
			"read without end"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &timed{}
			r := httptest.NewRequest(http.MethodPost, "/guard", strings.NewReader(strings.Repeat("x", tc.size)))
			body, err := receive(w, r, time.Second, func(size int64) error {
				w.told = append(w.told, "let in")
				return nil
			})
			if err != nil || len(body) != tc.size || !slices.Equal(w.told, tc.want) {
				t.Errorf("%d bytes, error %v, told to %q, want %q", len(body), err, w.told, tc.want)
			}
		})
	}
	t.Run("of an answer", func(t *testing.T) {
		w := &timed{}
		_, _ = answerWithin(w, time.Second).Write([]byte("x"))
		if want := []string{"write in time", "write"}; !slices.Equal(w.told, want) {
			t.Errorf("told to %q, want %q", w.told, want)
		}
	})
}

// over is the same server by one protocol only.
func (s *started) over(protocol string) *started {
	transport := s.client.Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2 = protocol == "h2"
	transport.TLSClientConfig.NextProtos = []string{protocol}
	if protocol != "h2" {
		transport.Protocols = &http.Protocols{}
		transport.Protocols.SetHTTP1(true)
	}
	return &started{url: s.url, client: &http.Client{Transport: transport}, log: s.log}
}

// stall declares a body and sends a part of it. When the server answers, the channel gets the
// status.
func (s *started) stall(t *testing.T, path string, declared int64, sent int) <-chan string {
	t.Helper()
	body, rest := io.Pipe()
	t.Cleanup(func() { _ = rest.CloseWithError(io.ErrUnexpectedEOF) })
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = declared
	status := make(chan string, 1)
	go func() {
		response, err := s.client.Do(request)
		if err != nil {
			status <- err.Error()
			return
		}
		_ = response.Body.Close()
		status <- response.Status
	}()
	// The pipe accepts no byte before it is read: by then the request is in flight or has been
	// answered.
	_, _ = rest.Write([]byte(strings.Repeat(" ", max(sent, 1))))
	return status
}

// TestShares are about one lane of 10 bytes, of which an address may have 5 and two requests, and
// all together three.
func TestShares(t *testing.T) {
	l := newLane(10).sharedBy(5, 3, 2)
	enter := func(address string, want bool) {
		t.Helper()
		if l.enter(address) != want {
			t.Fatalf("%s enters: %v, want %v", address, !want, want)
		}
	}
	let := func(address string, bytes int64, want bool) func() {
		t.Helper()
		ctx := t.Context()
		if !want { // it would have to wait
			short, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			ctx = short
		}
		release, err := l.letIn(ctx, address, bytes)
		if (err == nil) != want {
			t.Fatalf("%s is let in with %d bytes: %v, want %v", address, bytes, err, want)
		}
		return release
	}
	enter("flood", true)
	enter("flood", true)
	enter("flood", false) // its third request
	release := let("flood", 5, true)
	let("flood", 1, false) // over its share
	enter("api", true)
	enter("other", false) // the lane's fourth request
	let("api", 5, true)() // as if nobody else was there
	release()
	let("flood", 5, true)()
	for _, address := range []string{"flood", "flood", "api"} {
		l.leave(address)
	}
	if len(l.addresses) != 0 || l.requests != 0 {
		t.Errorf("%d addresses and %d requests are remembered", len(l.addresses), l.requests)
	}
}

// TestTooManyAtOnce has one address at its bound, with bodies that do not come.
func TestTooManyAtOnce(t *testing.T) {
	s := start(t, Options{Guard: saying("guard")})
	client := s.over("h2")
	refused := make(chan struct{}, 2*addressRequests)
	for range 2 * addressRequests { // twice: what a new connection is sent before its settings may be refused
		status := client.stall(t, "/guard?timeout=30s", maxBody, 0)
		go func() {
			if <-status == "503 Service Unavailable" {
				refused <- struct{}{}
			}
		}()
	}
	<-refused
}

// TestPrecedence: those who authenticate have a lane of their own.
func TestPrecedence(t *testing.T) {
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	s := start(t, Options{
		InFlight: maxBody, Inject: saying("inject"),
		Callers: Callers{Keys: func(string) []string { return []string{"key"} }},
		Guard: admission.HandlerFunc(func(context.Context, admission.Request) admission.Response {
			entered <- struct{}{}
			<-leave
			return admission.Allowed("")
		}),
	})
	var flood sync.WaitGroup
	for range 2 {
		flood.Go(func() { s.post(t, "/guard?timeout=30s", bytes.NewReader(review("flood", 6<<20))) })
	}
	<-entered // the lane of the others is full, and one waits
	if status, text, _ := s.post(t, "/inject?timeout=100ms",
		bytes.NewReader(review("u-1", 10))); status != http.StatusServiceUnavailable {
		t.Errorf("without the key: status %d, want 503: %s", status, text)
	}
	if status, text, _ := s.post(t, "/inject/key?timeout=30s",
		bytes.NewReader(review("u-1", 6<<20))); status != http.StatusOK {
		t.Errorf("with the key: status %d: %s", status, text)
	}
	close(leave)
	flood.Wait()
}

func TestHeaders(t *testing.T) {
	s := start(t, Options{Guard: saying("guard")})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/guard",
		bytes.NewReader(review("u-1", 10)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Large", strings.Repeat("x", 32<<10))
	if response, err := s.over("http/1.1").client.Do(request); err != nil {
		t.Error(err)
	} else if _ = response.Body.Close(); response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("32 KiB of headers: status %d, want 431", response.StatusCode)
	}
	server := NewServer(Options{Inject: saying(""), Guard: saying(""), GuardElsewhere: saying(""),
		CarryOver: saying(""),
		Report:    saying(""), Protect: saying("")})
	if server.ReadHeaderTimeout != headerTimeout || server.IdleTimeout == 0 {
		t.Error("a connection on which nothing comes stays for ever")
	}
}

// TestConnections opens connections one after the other; at most four, and three of one address.
func TestConnections(t *testing.T) {
	tests := map[string]struct {
		from string // addresses, a letter each
		want string // those still open
	}{
		"allow as many as fit":                                     {"aabb", "aabb"},
		"forbid one address more than its part":                    {"aaaa", "aaa"},
		"forbid an address with many to keep a new one out":        {"aaab" + "c", "aabc"},
		"forbid an address with as many as others to push one out": {"aabb" + "a", "aabb"},
		"allow whoever has fewest until all have the same":         {"aaab" + "cd", "abcd"},
		"forbid a newcomer where everybody has one":                {"abcd" + "e", "abcd"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := &connections{most: 4, ofAddress: 3}
			var all []*fakeConn
			for _, address := range tc.from {
				conn := &fakeConn{address: string(address)}
				all = append(all, conn)
				c.changed(conn, http.StateNew)
			}
			got := ""
			for _, conn := range all {
				if !conn.closed {
					got += conn.address
				}
				c.changed(conn, http.StateClosed)
			}
			if got != tc.want {
				t.Errorf("open are %s, want %s", got, tc.want)
			}
			if len(c.open) != 0 {
				t.Errorf("%d are remembered", len(c.open))
			}
		})
	}
}

type fakeConn struct {
	net.Conn
	address string
	closed  bool
}

func (f *fakeConn) RemoteAddr() net.Addr { return fakeAddr(f.address) }
func (f *fakeConn) Close() error         { f.closed = true; return nil }

type fakeAddr string

func (fakeAddr) Network() string  { return "tcp" }
func (a fakeAddr) String() string { return string(a) + ":1" }

// TestManyConnections: those over the bound are closed by the server that listens.
func TestManyConnections(t *testing.T) {
	s := start(t, Options{Guard: saying("guard")})
	for range addressConnections {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "https://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"),
		s.client.Transport.(*http.Transport).TLSClientConfig)
	if err == nil {
		_ = conn.Close()
		t.Error("a connection more than an address may have is served")
	}
}
