// Package faults stands before a real S3 server, and does to its clients what networks, proxies and
// servers do:
//
//	client
//	→ connections (slow, reset, cut, gone, silent)
//	→ reverse proxy (answers of its own, or none)
//	→ server
package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// Kind is what goes wrong.
type Kind string

// Kinds of faults. Those of connections strike all, also those that are open; those of requests can
// be limited by Fault.Times.
const (
	// Slow: each direction of a connection takes 300 ms longer and carries 128 KiB meanwhile.
	Slow Kind = "slow"
	// Reset: connections are reset as soon as anything is sent.
	Reset Kind = "reset"
	// CutUpload: connections end after the client has sent 1 MiB.
	CutUpload Kind = "cut-upload"
	// CutDownload: connections end after the server has sent 1 MiB.
	CutDownload Kind = "cut-download"
	// Gone: connections are refused.
	Gone Kind = "gone"
	// Silent: connections are accepted, and nothing is ever read or answered.
	Silent Kind = "silent"
	// ServerError: requests are answered 503 SlowDown.
	ServerError Kind = "5xx"
	// Conflict: conditional writes are answered 409 ConditionalRequestConflict.
	Conflict Kind = "409"
	// Precondition: conditional writes are answered 412 PreconditionFailed.
	Precondition Kind = "412"
	// Full: writes are answered 507 XMinioStorageFull, as MinIO does.
	Full Kind = "full"
	// LostResponse: writes are done, and their connections end without an answer.
	LostResponse Kind = "lost-response"
)

// Fault is one that can be set.
type Fault struct {
	Kind Kind `json:"kind"`
	// Times is how many requests a fault of requests strikes, 0 for all.
	Times int `json:"times,omitempty"`
}

// Proxy stands before a server. Its methods may be called concurrently.
type Proxy struct {
	connections *connections
	requests    *requests
	server      *http.Server
}

// Start starts a proxy on an address (port 0: any) before the server of a URL.
func Start(address, upstream string) (*Proxy, error) {
	target, err := url.Parse(upstream)
	if err != nil {
		return nil, fmt.Errorf("faults: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("faults: %w", err)
	}
	p := &Proxy{requests: newRequests(target)}
	if p.connections, err = listen(address, listener.Addr().String()); err != nil {
		return nil, fmt.Errorf("faults: %w", errors.Join(err, listener.Close()))
	}
	p.server = &http.Server{Handler: p.requests, ErrorLog: quiet} //nolint:gosec // G112: its clients are tests
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

// URL is where clients find the server.
func (p *Proxy) URL() string { return "http://" + p.connections.address }

// Set replaces the current fault. It does not wait for any peer to read or write.
func (p *Proxy) Set(f Fault) error {
	var ofRequests Fault
	var ofConnections Kind
	switch f.Kind {
	case Slow, Reset, CutUpload, CutDownload, Gone, Silent, "":
		ofConnections = f.Kind
	case ServerError, Conflict, Precondition, Full, LostResponse:
		ofRequests = f
	default:
		return fmt.Errorf("faults: there is no kind %q", f.Kind)
	}
	p.requests.set(ofRequests)
	if err := p.connections.set(ofConnections); err != nil {
		return fmt.Errorf("faults: %w", err)
	}
	return nil
}

// Struck returns how often the fault that was set last has struck: requests, or for a fault of
// connections what was read from them. Gone is not counted, and counts as no strike.
func (p *Proxy) Struck() int64 {
	p.connections.mu.Lock()
	ofConnections := p.connections.fault.struck.Load()
	p.connections.mu.Unlock()
	p.requests.mu.Lock()
	defer p.requests.mu.Unlock()
	return ofConnections + p.requests.struck
}

// Clear ends the fault.
func (p *Proxy) Clear() error { return p.Set(Fault{}) }

// Close ends the proxy, not the server behind.
func (p *Proxy) Close() error { return errors.Join(p.connections.set(Gone), p.server.Close()) }

// Control takes faults over HTTP: POST /fault {"kind": "slow"}, DELETE /fault; GET /fault answers
// {"struck": 3}.
func (p *Proxy) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /fault", func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		err := json.NewDecoder(r.Body).Decode(&f)
		if err == nil {
			err = p.Set(f)
		}
		answer(w, err)
	})
	mux.HandleFunc("GET /fault", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]int64{"struck": p.Struck()})
	})
	mux.HandleFunc("DELETE /fault", func(w http.ResponseWriter, _ *http.Request) { answer(w, p.Clear()) })
	return mux
}

func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
