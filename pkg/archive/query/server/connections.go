package server

import (
	"net"
	"net/http"
	"sync"
)

const (
	// maxConnections bounds what connections take, whoever opens them.
	maxConnections = 512
	// addressConnections is the limit for one address, so that it cannot lock out others.
	addressConnections = maxConnections / 2
)

// connections limits open connections: one too many is closed before anything is read from it.
type connections struct {
	most, ofAddress int

	mu        sync.Mutex
	open      map[net.Conn]string
	byAddress map[string]int
}

func newConnections() *connections {
	return &connections{
		most: maxConnections, ofAddress: addressConnections, open: map[net.Conn]string{}, byAddress: map[string]int{},
	}
}

// changed is for http.Server.ConnState.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	switch state { //nolint:exhaustive // a connection is open until it is closed
	case http.StateNew:
		if !c.add(conn) {
			_ = conn.Close()
		}
	case http.StateClosed, http.StateHijacked:
		c.remove(conn)
	}
}

func (c *connections) add(conn net.Conn) bool {
	address, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		address = conn.RemoteAddr().String()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= c.most || c.byAddress[address] >= c.ofAddress {
		return false
	}
	c.open[conn] = address
	c.byAddress[address]++
	return true
}

func (c *connections) remove(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	address, ok := c.open[conn]
	if !ok {
		return
	}
	delete(c.open, conn)
	if c.byAddress[address]--; c.byAddress[address] == 0 {
		delete(c.byAddress, address)
	}
}
