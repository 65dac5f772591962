// Package faults stands before a real S3 server, and does to its clients what networks, proxies and servers do. Connections go
// through toxiproxy, requests through a reverse proxy behind it:
//
//	client → toxiproxy (slow, reset, cut, gone, silent) → reverse proxy (answers of its own, or none) → server
package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Kind is what goes wrong.
type Kind string

// Kinds of faults. Those of connections strike all, also those that are open; those of requests can be limited by Fault.Times.
const (
	// Slow: each direction of a connection takes 300 ms longer and carries 500 KB/s.
	Slow Kind = "slow"
	// Reset: connections are reset as soon as anything is sent.
	Reset Kind = "reset"
	// CutUpload: connections end after the client has sent 1 MiB.
	CutUpload Kind = "cut-upload"
	// CutDownload: connections end after the server has sent 1 MiB.
	CutDownload Kind = "cut-download"
	// Gone: connections are refused.
	Gone Kind = "gone"
	// Silent: connections are accepted, and nothing is ever answered.
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

// toxics of the kinds that are toxiproxy's.
var toxics = map[Kind][]string{
	Slow: {
		`{"type": "latency", "stream": "upstream", "attributes": {"latency": 300}}`, `{"type": "latency", "stream": "downstream", "attributes": {"latency": 300}}`,
		`{"type": "bandwidth", "stream": "upstream", "attributes": {"rate": 500}}`, `{"type": "bandwidth", "stream": "downstream", "attributes": {"rate": 500}}`,
	},
	Reset:       {`{"type": "reset_peer", "stream": "upstream", "attributes": {"timeout": 0}}`},
	CutUpload:   {`{"type": "limit_data", "stream": "upstream", "attributes": {"bytes": 1048576}}`},
	CutDownload: {`{"type": "limit_data", "stream": "downstream", "attributes": {"bytes": 1048576}}`},
	Silent:      {`{"type": "timeout", "stream": "upstream", "attributes": {"timeout": 0}}`, `{"type": "timeout", "stream": "downstream", "attributes": {"timeout": 0}}`},
}

// Fault is one that can be set.
type Fault struct {
	Kind Kind `json:"kind"`
	// Times is how many requests a fault of requests strikes, 0 for all.
	Times int `json:"times,omitempty"`
}

// Proxy stands before a server. Its methods may be called concurrently, Set and Clear not with each other.
type Proxy struct {
	connections *toxiproxy.Proxy
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
	p.server = &http.Server{Handler: p.requests, ErrorLog: quiet} //nolint:gosec // G112: its clients are tests
	go func() { _ = p.server.Serve(listener) }()
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxiproxy's toxics have loggers of their own
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	p.connections = toxiproxy.NewProxy(api, "s3", address, listener.Addr().String())
	if err := p.connections.Start(); err != nil {
		_ = p.server.Close()
		return nil, fmt.Errorf("faults: %w", err)
	}
	return p, nil
}

// URL is where clients find the server.
func (p *Proxy) URL() string { return "http://" + p.connections.Listen }

// Set sets a fault in place of the one before.
func (p *Proxy) Set(f Fault) error {
	if err := p.Clear(); err != nil {
		return err
	}
	switch f.Kind {
	case Gone:
		p.connections.Stop()
		return nil
	case ServerError, Conflict, Precondition, Full, LostResponse:
		p.requests.set(f)
		return nil
	}
	toxics := toxics[f.Kind]
	if toxics == nil {
		return fmt.Errorf("faults: there is no kind %q", f.Kind)
	}
	for i, toxic := range toxics {
		named := strings.Replace(toxic, "{", fmt.Sprintf(`{"name": "fault-%d", `, i), 1)
		if _, err := p.connections.Toxics.AddToxicJson(strings.NewReader(named)); err != nil {
			return fmt.Errorf("faults: %w", err)
		}
	}
	return nil
}

// Clear ends the fault.
func (p *Proxy) Clear() error {
	p.requests.set(Fault{})
	p.connections.Toxics.ResetToxics(context.Background())
	if err := p.connections.Start(); err != nil && !errors.Is(err, toxiproxy.ErrProxyAlreadyStarted) {
		return fmt.Errorf("faults: %w", err)
	}
	return nil
}

// Close ends the proxy, not the server behind.
func (p *Proxy) Close() error {
	p.connections.Stop()
	return p.server.Close()
}

// Control takes faults over HTTP: POST /fault {"kind": "slow"}, DELETE /fault.
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
