package server

import (
	"net"
	"net/http"
	"sync"
)

const (
	// maxConnections bounds the open connections.
	maxConnections = 512
	// addressConnections bounds those of one address, so that it cannot lock out others.
	addressConnections = maxConnections / 2
)

// connections limits open connections. It closes connections above the limit before anything is
// read from them.
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

// changed is an http.Server.ConnState.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	switch state { //nolint:exhaustive // in all other states it is open
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
