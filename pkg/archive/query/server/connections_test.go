package server

import (
	"net"
	"net/http"
	"testing"
	"time"
)

// A connection above the limit is closed, and one that ends makes room.
func TestConnectionsAreBounded(t *testing.T) {
	c := newConnections()
	c.most, c.ofAddress = 4, 2
	server := &http.Server{Handler: http.NotFoundHandler(), ConnState: c.changed, ReadHeaderTimeout: time.Minute}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	dial := func() (net.Conn, bool) {
		conn, err := net.Dial("tcp", listener.Addr().String()) //nolint:noctx // a test
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		n, _ := conn.Read(make([]byte, 1))
		return conn, n == 1
	}
	first, ok := dial()
	if _, second := dial(); !ok || !second {
		t.Error("refused below the limit")
	}
	if _, ok := dial(); ok {
		t.Error("served beyond the limit of an address")
	}
	_ = first.Close()
	for range 100 {
		if _, ok := dial(); ok {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("a connection that has ended makes no room")
}

// All addresses together have a limit too.
func TestConnectionsOfAll(t *testing.T) {
	c := newConnections()
	c.most, c.ofAddress = 1, 2
	one, two := net.Pipe()
	if !c.add(one) || c.add(two) {
		t.Error("not one connection")
	}
	c.remove(two)
	c.remove(one)
	if !c.add(two) || len(c.byAddress) != 1 {
		t.Error("no room again")
	}
}

// The bytes of one caller and of all are bounded, and released bytes are available again.
func TestShares(t *testing.T) {
	b := newBodies()
	for _, caller := range []string{"a", "b", "c", "d"} {
		if !b.take(caller, callerBodies) || b.take(caller, 1) {
			t.Errorf("the share of %s", caller)
		}
	}
	if b.take("e", 1) {
		t.Error("more than all")
	}
	b.release("a", callerBodies)
	if !b.take("e", 1) || len(b.byCaller) != 4 {
		t.Error("nothing comes back")
	}
}
