package admission

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

const (
	// maxConnections bounds memory: a connection takes about 100 KiB. API servers open one per
	// webhook and 60 concurrent requests.
	maxConnections = 256
	// addressConnections is the limit for one address.
	addressConnections = maxConnections / 2
	// receiveBuffer is the kernel's buffer for data not yet read. By default it grows to several
	// megabytes.
	receiveBuffer = 128 << 10
)

// connections limits open connections. At the limit, the address with the most connections loses
// its oldest, so a client that opens many cannot lock out others.
type connections struct {
	most, ofAddress int

	mu   sync.Mutex
	open []connection // the oldest first
}

type connection struct {
	net.Conn
	address string
}

// changed is for http.Server.ConnState, which reports a new connection before anything is read from
// it.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		c.add(connection{conn, addressOfConn(conn)})
	case http.StateClosed, http.StateHijacked:
		c.remove(conn)
	}
}

func (c *connections) add(added connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	byAddress := map[string]int{}
	for _, o := range c.open {
		byAddress[o.address]++
	}
	if byAddress[added.address] >= c.ofAddress {
		added.drop()
		return
	}
	if len(c.open) >= c.most {
		greediest := added.address
		for address, n := range byAddress {
			if n > byAddress[greediest]+1 {
				greediest = address
			}
		}
		if greediest == added.address {
			added.drop()
			return
		}
		for i, o := range c.open {
			if o.address == greediest {
				c.open = append(c.open[:i:i], c.open[i+1:]...)
				o.drop()
				break
			}
		}
	}
	if tcp, ok := underlying(added.Conn).(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(receiveBuffer) // an error shows up again when the connection is read
	}
	c.open = append(c.open, added)
}

func (c *connections) remove(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, o := range c.open {
		if o.Conn == conn {
			c.open = append(c.open[:i:i], c.open[i+1:]...)
			return
		}
	}
}

// drop closes a connection without TLS's closing handshake, which could block on the peer.
func (c connection) drop() { _ = underlying(c.Conn).Close() }

func underlying(conn net.Conn) net.Conn {
	if secured, ok := conn.(*tls.Conn); ok {
		return secured.NetConn()
	}
	return conn
}

func addressOfConn(conn net.Conn) string {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return conn.RemoteAddr().String()
	}
	return host
}
