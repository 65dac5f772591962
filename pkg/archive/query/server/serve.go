package server

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/query/access"
	"github.com/indelible-ci/indelible/pkg/archive/query/tracing"
)

// NewHTTP returns the server for gRPC and REST. with, which must have the certificate, enables TLS.
// Without TLS, HTTP/2 needs prior knowledge, as gRPC's clients have.
func (s *Server) NewHTTP(with *tls.Config) *http.Server {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(with != nil)
	protocols.SetUnencryptedHTTP2(with == nil)
	return &http.Server{
		Handler: s, TLSConfig: with, Protocols: protocols, ConnState: newConnections().changed,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 64 << 10,
		// A connection whose client is gone or does not read is closed; a log may take any time. A
		// stream's receive buffer is smaller than its connection's, so that a log upload that is
		// not read does not block other streams.
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 250, SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second,
			WriteByteTimeout: time.Minute, MaxReceiveBufferPerConnection: 1 << 20, MaxReceiveBufferPerStream: 64 << 10,
		},
	}
}

// ServeHTTP implements http.Handler. It authenticates before it reads any message, so that
// strangers cost nothing.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !isPublic(r.URL.Path) {
		var caller *access.Caller
		err := s.observeOnly("Authenticate", func() (err error) {
			ctx, cancel := context.WithTimeout(r.Context(), s.Timeout)
			defer cancel()
			caller, err = s.Access.Authenticate(ctx, access.ParseRequest(r.Header))
			return err
		})
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		r = r.WithContext(context.WithValue(tracing.Continue(r.Context(), r.Header), callerKey, caller))
	}
	if isGRPC(r) {
		f := s.flowOf(w, r)
		defer f.release()
		r = r.WithContext(context.WithValue(r.Context(), bodyKey, f))
		r.Body = f
		s.grpc.ServeHTTP(w, r)
		return
	}
	body, r := s.restBodyOf(w, r)
	defer body.release()
	s.rest.ServeHTTP(w, r)
}

// isPublic says which paths need no authentication: health and reflection.
func isPublic(path string) bool {
	return path == "/healthz" || strings.HasPrefix(path, "/grpc.health.v1.Health/") ||
		strings.HasPrefix(path, "/grpc.reflection.")
}

// refuse responds to a request whose body was not read.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if hasBody(r) {
		// net/http waits for the rest of a body, even if it is not read.
		if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close")
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(refusedTime))
	}
	if !isGRPC(r) {
		restError(s.rest, w, r, err)
		return
	}
	// A response without a message: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md,
	// "Trailers-Only".
	said := status.Convert(err)
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Grpc-Status", strconv.Itoa(int(said.Code())))
	w.Header().Set("Grpc-Message", (&url.URL{Path: said.Message()}).EscapedPath())
	w.WriteHeader(http.StatusOK)
}

// Drain makes health checks fail before the server ends, so that clients go elsewhere.
func (s *Server) Drain() { s.health.Shutdown() }

// Shutdown ends an HTTP server of the API. It takes no new requests, and waits for those in
// progress until ctx ends.
func (s *Server) Shutdown(ctx context.Context, server *http.Server) error {
	s.Drain()
	err := server.Shutdown(ctx)
	if err != nil {
		_ = server.Close()
	}
	return err
}
