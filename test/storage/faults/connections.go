package faults

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// chunk is how much of a connection is looked at at a time. A slow one takes pause for each, in
	// each direction.
	chunk = 128 << 10
	pause = 300 * time.Millisecond
	// cutAfter is how much passes before a connection is cut.
	cutAfter = 1 << 20
)

// connections forwards TCP connections, and does to them what the fault of the moment says. To set
// and to end one waits for no peer: whoever has stopped reading may be the one that sets the fault.
// (A proxy that changes its faults between two chunks waits until somebody takes the chunk before.)
// mu owns listener, fault and open; nothing that can block is done while it is held.
type connections struct {
	address, target string

	mu       sync.Mutex
	listener net.Listener
	fault    *strike
	open     map[*connection]struct{}
}

// strike is a fault of connections from when it is set until another takes its place. struck counts
// what it did, except for Gone, which leaves no connection to count.
type strike struct {
	kind   Kind
	struck atomic.Int64
}

// connection is two, of which each is copied to the other. done is closed when they are.
type connection struct {
	client, server *net.TCPConn
	once           sync.Once
	done           chan struct{}
}

// portPatience is how long an address that was ours may be used by another process.
const portPatience = 30 * time.Second

// listen starts to forward what comes to an address. Port 0 becomes a port that stays the same
// while it is gone.
func listen(address, target string) (*connections, error) {
	c := &connections{address: address, target: target, fault: &strike{}, open: make(map[*connection]struct{})}
	return c, c.set("")
}

// set sets the fault, "" for none, in place of the one before. Connections end where they have lost
// what they carried.
func (c *connections) set(kind Kind) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault.kind == Silent || kind == Gone {
		for one := range c.open {
			one.close()
		}
	}
	c.fault = &strike{kind: kind}
	if kind == Gone {
		return c.close()
	}
	if c.listener != nil {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", c.address)
	// While nobody listens there, the kernel may give the port to a connection of somebody's, for a
	// while.
	for began := time.Now(); errors.Is(err, syscall.EADDRINUSE) && time.Since(began) < portPatience; {
		time.Sleep(portPatience / 100)
		listener, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", c.address)
	}
	if err != nil {
		return err
	}
	c.listener, c.address = listener, listener.Addr().String()
	go c.accept(listener)
	return nil
}

// close closes the listener, if there is one. The caller holds mu.
func (c *connections) close() error {
	if c.listener == nil {
		return nil
	}
	err := c.listener.Close()
	c.listener = nil
	return err
}

func (c *connections) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go c.forward(listener, client)
	}
}

func (c *connections) forward(listener net.Listener, client net.Conn) {
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", c.target)
	if err != nil {
		_ = client.Close()
		return
	}
	one := &connection{client: client.(*net.TCPConn), server: server.(*net.TCPConn), done: make(chan struct{})}
	defer one.close()
	if !c.add(listener, one) {
		return
	}
	defer c.remove(one)
	var both sync.WaitGroup
	both.Go(func() { one.copy(one.server, one.client, CutUpload, c.now) })
	both.Go(func() { one.copy(one.client, one.server, CutDownload, c.now) })
	both.Wait()
}

// add says false where the listener was closed since it accepted the connection.
func (c *connections) add(listener net.Listener, one *connection) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listener != listener {
		return false
	}
	c.open[one] = struct{}{}
	return true
}

func (c *connections) remove(one *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, one)
}

func (c *connections) now() *strike {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fault
}

// copy copies one direction until it ends, which it passes on, or a fault or an error ends both.
// cut is the fault that cuts it.
func (o *connection) copy(to, from *net.TCPConn, cut Kind, now func() *strike) {
	buffer, passed := make([]byte, chunk), 0
	for fault := now(); ; {
		n, err := from.Read(buffer)
		if latest := now(); latest != fault {
			fault, passed = latest, 0
		}
		if fault.kind == cut {
			n = min(n, cutAfter-passed)
		}
		if !o.suffer(fault) {
			return
		}
		if _, failed := to.Write(buffer[:n]); failed != nil || err != nil && !errors.Is(err, io.EOF) {
			o.close()
			return
		}
		if err != nil {
			_ = to.CloseWrite()
			return
		}
		if passed += n; fault.kind == cut && passed == cutAfter {
			fault.struck.Add(1)
			o.close()
			return
		}
	}
}

// suffer reports whether the data that was read may be forwarded.
func (o *connection) suffer(fault *strike) bool {
	switch fault.kind {
	case Slow, Reset, Silent:
		fault.struck.Add(1)
	}
	switch fault.kind {
	case Slow:
		select {
		case <-time.After(pause):
		case <-o.done:
		}
	case Reset:
		_, _ = o.client.SetLinger(0), o.server.SetLinger(0)
		o.close()
		return false
	case Silent:
		<-o.done
		return false
	}
	return true
}

func (o *connection) close() {
	o.once.Do(func() {
		_, _ = o.client.Close(), o.server.Close()
		close(o.done)
	})
}
