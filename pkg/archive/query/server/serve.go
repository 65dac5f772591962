package server

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"
)

// NewHTTP returns the server of the API's port: gRPC and REST, with TLS if there is a configuration for it, which must know its
// certificate. Without, HTTP/2 is spoken as gRPC's clients do, with prior knowledge.
func (s *Server) NewHTTP(with *tls.Config) *http.Server {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(with != nil)
	protocols.SetUnencryptedHTTP2(with == nil)
	return &http.Server{
		Handler: s, TLSConfig: with, Protocols: protocols,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 64 << 10,
		// A connection whose other end is gone, or does not read any more, is closed; a log may take as long as it takes.
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 250, SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second, WriteByteTimeout: time.Minute},
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isGRPC(r) {
		s.grpc.ServeHTTP(w, r)
		return
	}
	s.rest.ServeHTTP(w, r)
}

// Drain says in health checks that the server is about to end, so that nobody begins what would not.
func (s *Server) Drain() { s.health.Shutdown() }

// Shutdown ends an HTTP server of the API: it takes no new requests, and gives those under way the time that ctx has.
func (s *Server) Shutdown(ctx context.Context, server *http.Server) error {
	s.Drain()
	err := server.Shutdown(ctx)
	if err != nil {
		_ = server.Close()
	}
	return err
}
