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
)

// NewHTTP returns the server of the API's port: gRPC and REST, with TLS if there is a configuration for it, which must know its
// certificate. Without, HTTP/2 is spoken as gRPC's clients do, with prior knowledge.
func (s *Server) NewHTTP(with *tls.Config) *http.Server {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(with != nil)
	protocols.SetUnencryptedHTTP2(with == nil)
	return &http.Server{
		Handler: s, TLSConfig: with, Protocols: protocols, ConnState: newConnections().changed,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 64 << 10,
		// A connection whose other end is gone, or does not read any more, is closed; a log may take as long as it takes.
		// What a stream may send that nobody reads yet is less than what its connection may, so that one
		// whose log is being stored does not hold up the others.
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 250, SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second,
			WriteByteTimeout: time.Minute, MaxReceiveBufferPerConnection: 1 << 20, MaxReceiveBufferPerStream: 64 << 10,
		},
	}
}

// ServeHTTP implements http.Handler. Who asks is found out before a byte of a message is read: what nobody may send costs nothing.
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
		r = r.WithContext(context.WithValue(r.Context(), callerKey, caller))
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

// isPublic says what everybody may ask: whether the server is healthy, and what there is to call.
func isPublic(path string) bool {
	return path == "/healthz" || strings.HasPrefix(path, "/grpc.health.v1.Health/") || strings.HasPrefix(path, "/grpc.reflection.")
}

// refuse answers a request that nothing was read of.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if hasBody(r) {
		// net/http waits for the rest of a body, even of one that nobody reads.
		if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close")
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(refusedTime))
	}
	if !isGRPC(r) {
		restError(s.rest, w, r, err)
		return
	}
	// An answer without a message: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Trailers-Only".
	said := status.Convert(err)
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Grpc-Status", strconv.Itoa(int(said.Code())))
	w.Header().Set("Grpc-Message", (&url.URL{Path: said.Message()}).EscapedPath())
	w.WriteHeader(http.StatusOK)
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
