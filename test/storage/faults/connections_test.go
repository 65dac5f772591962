package faults

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// kinds are those of connections.
var kinds = []Kind{"", Slow, Reset, CutUpload, CutDownload, Gone, Silent}

// A fault is set and ended at once, also on connections of which neither end reads any more: it may
// be an end that sets it. What hangs here is shown by go test, with all goroutines, at its
// time-out.
func TestAFaultWaitsForNobody(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			c, server := start(t)
			client := dial(t, c)
			served := <-server
			fill(t, client)
			fill(t, served)
			for _, next := range kinds {
				if err := errors.Join(c.set(kind), c.set(next), c.set("")); err != nil {
					t.Fatal(err)
				}
			}
			passes(t, dial(t, c), <-server)
		})
	}
}

// Each kind does what it says, to connections that are open and to new ones, and no more when it
// has ended.
func TestKinds(t *testing.T) {
	for _, test := range []struct {
		kind Kind
		want func(t *testing.T, client, server net.Conn)
	}{
		{"", passes},
		{Slow, slow},
		{Reset, reset},
		{CutUpload, func(t *testing.T, client, server net.Conn) { cut(t, client, server) }},
		{CutDownload, func(t *testing.T, client, server net.Conn) { cut(t, server, client) }},
		{Silent, silent},
	} {
		t.Run(string(test.kind), func(t *testing.T) {
			c, server := start(t)
			client := dial(t, c)
			served := <-server
			passes(t, client, served)
			if err := c.set(test.kind); err != nil {
				t.Fatal(err)
			}
			test.want(t, client, served)
			test.want(t, dial(t, c), <-server)
			if err := c.set(""); err != nil {
				t.Fatal(err)
			}
			if test.kind == Silent {
				ended(t, client)
				ended(t, served)
			}
			passes(t, dial(t, c), <-server)
		})
	}
	t.Run(string(Gone), func(t *testing.T) {
		c, server := start(t)
		client := dial(t, c)
		served := <-server
		if err := c.set(Gone); err != nil {
			t.Fatal(err)
		}
		ended(t, client)
		ended(t, served)
		if _, err := net.Dial("tcp", c.address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial: %v, want it refused", err)
		}
		if err := c.set(""); err != nil {
			t.Fatal(err)
		}
		passes(t, dial(t, c), <-server)
	})
}

// start returns connections to a server, and what the server accepts.
func start(t *testing.T) (*connections, <-chan net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 1)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			accepted <- conn
		}
	}()
	c, err := listen("127.0.0.1:0", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.set(Gone), listener.Close() })
	return c, accepted
}

func dial(t *testing.T, c *connections) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// fill writes until nothing goes on any more.
func fill(t *testing.T, to net.Conn) {
	t.Helper()
	for {
		_ = to.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := to.Write(make([]byte, 1<<20)); errors.Is(err, os.ErrDeadlineExceeded) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func passes(t *testing.T, client, server net.Conn) {
	t.Helper()
	for _, direction := range [][2]net.Conn{{client, server}, {server, client}} {
		sent, got := bytes.Repeat([]byte("sent"), 1<<18), make([]byte, 1<<20)
		go func() { _, _ = direction[0].Write(sent) }()
		if _, err := io.ReadFull(direction[1], got); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("did not pass: %v", err)
		}
	}
}

func slow(t *testing.T, client, server net.Conn) {
	t.Helper()
	began := time.Now()
	passes(t, client, server)
	if took, atLeast := time.Since(began), 2*(1<<20)/chunk*pause; took < atLeast {
		t.Errorf("took %s, want at least %s", took, atLeast)
	}
}

func reset(t *testing.T, client, server net.Conn) {
	t.Helper()
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, end := range []net.Conn{client, server} {
		if _, err := end.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v, want a reset", err)
		}
	}
}

// cut wants that 1 MiB arrives of more, and that the connection has ended for both.
func cut(t *testing.T, from, to net.Conn) {
	t.Helper()
	go func() { _, _ = from.Write(make([]byte, 4<<20)) }()
	got, _ := io.Copy(io.Discard, to)
	if got != cutAfter {
		t.Errorf("%d bytes arrived, want %d", got, cutAfter)
	}
	ended(t, from)
}

func silent(t *testing.T, client, server net.Conn) {
	t.Helper()
	for _, direction := range [][2]net.Conn{{client, server}, {server, client}} {
		fill(t, direction[0])
		_ = direction[1].SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if n, err := direction[1].Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes arrived, %v, want none", n, err)
		}
		_ = direction[1].SetReadDeadline(time.Time{})
	}
}

func ended(t *testing.T, end net.Conn) {
	t.Helper()
	if _, err := end.Read(make([]byte, 1)); err == nil {
		t.Error("there is something to read, want the end")
	}
}
