// Package admission serves the webhooks: TLS, paths, authentication of API servers, deadlines, and
// limits on what is admitted at a time. The decisions are made by the handlers in inject, guard,
// fit and protect.
//
// A handler that panics, or a request that is not admitted, is answered by an HTTP error, not a
// denial: then the failure policy of the webhook configuration decides. Ignore lets a Pod pass
// without injection; Fail rejects an unchecked status write, and the publisher retries.
package admission

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// Paths of the webhooks, as the configurations in config/webhook and config/archive name them.
const (
	InjectPath         = "/inject"
	GuardPath          = "/guard"
	GuardElsewherePath = "/guard-elsewhere" // namespaces that have not opted in
	CarryOverPath      = "/carry-over"
	ReportPath         = "/report"
	FitPath            = "/fit"
	ProtectPath        = "/protect"
)

// Options configure a server.
type Options struct {
	Inject, Guard, GuardElsewhere, CarryOver, Report, Fit, Protect admission.Handler
	// Callers says how API servers are identified.
	Callers Callers
	// GetCertificate returns the certificate to serve with.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// InFlight bounds the sum of the bodies of unauthenticated callers admitted at a time, in
	// bytes; 0 means DefaultInFlight.
	InFlight int64
	Log      logr.Logger
}

// NewServer returns a server for ServeTLS with empty file names. controller-runtime's own server
// cancels requests when it stops, so only its paths and metrics (controller_runtime_webhook_*) are
// used: here requests in flight survive the start of Shutdown.
func NewServer(o Options) *http.Server {
	if o.InFlight == 0 {
		o.InFlight = DefaultInFlight
	}
	mux := http.NewServeMux()
	paths := webhook.NewServer(webhook.Options{WebhookMux: mux})
	gate := newGate(o.InFlight)
	for path, handler := range map[string]admission.Handler{
		InjectPath: o.Inject, GuardPath: o.Guard, GuardElsewherePath: o.GuardElsewhere, CarryOverPath: o.CarryOver,
		ReportPath: o.Report, FitPath: o.Fit, ProtectPath: o.Protect,
	} {
		unread := failUnread
		if path == GuardPath || path == GuardElsewherePath {
			unread = denyUnread
		}
		paths.Register(path, gate.guarding(answering(handler, o.Log.WithValues("path", path)), unread))
	}
	open := &connections{most: maxConnections, ofAddress: addressConnections}
	return &http.Server{
		Handler:           o.Callers.telling(mux),
		TLSConfig:         tlsConfig(o),
		ConnState:         open.changed,
		MaxHeaderBytes:    16 << 10,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       maxTimeout,
		WriteTimeout:      2 * maxTimeout,
		IdleTimeout:       2 * time.Minute, // longer than the API server's 90 s, so that the client closes first
		HTTP2:             http2Windows(),
		// An API server that does not trust us causes "TLS handshake error … bad certificate".
		ErrorLog: errorLog(o.Log),
	}
}

// errorLog passes on ten lines and then one every six seconds: anybody who reaches the port can
// cause them.
func errorLog(to logr.Logger) *log.Logger {
	all := slog.NewLogLogger(logr.ToSlogHandler(to), slog.LevelInfo)
	all.SetOutput(&seldom{to: all.Writer(), limit: rate.Sometimes{First: 10, Interval: 6 * time.Second}})
	return all
}

type seldom struct {
	to    io.Writer
	limit rate.Sometimes
}

func (s *seldom) Write(line []byte) (int, error) {
	s.limit.Do(func() { _, _ = s.to.Write(line) })
	return len(line), nil
}

// headerTimeout bounds TLS handshakes and headers: half of our webhooks' timeout.
const headerTimeout = 5 * time.Second

func tlsConfig(o Options) *tls.Config {
	c := &tls.Config{
		MinVersion:     tls.VersionTLS12, // API servers negotiate 1.3
		GetCertificate: o.GetCertificate,
	}
	if o.Callers.ClientCAs != nil {
		// A caller without one gets an HTTP answer, which is more informative than a failed
		// handshake.
		c.ClientCAs, c.ClientAuth = o.Callers.ClientCAs, tls.VerifyClientCertIfGiven
	}
	return c
}

// answering turns a handler into an HTTP handler that answers a panic with status 500. The panic's
// value may contain part of a result, so only its type is logged, unless it comes from the Go
// runtime.
func answering(handler admission.Handler, log logr.Logger) http.Handler {
	rethrow := false
	hook := &admission.Webhook{
		RecoverPanic: &rethrow,
		Handler: admission.HandlerFunc(func(ctx context.Context, req admission.Request) admission.Response {
			defer func() {
				if r := recover(); r != nil {
					err := describe(r)
					log.Error(err, "Panic while deciding", "namespace", req.Namespace, "name", req.Name, "stack",
						string(debug.Stack()))
					panic(err) // controller-runtime counts it
				}
			}()
			return handler.Handle(ctx, req)
		}),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				http.Error(w, "the webhook broke while deciding; its log has the reason",
					http.StatusInternalServerError)
			}
		}()
		hook.ServeHTTP(w, r)
	})
}

// describe returns what panicked, without data.
func describe(panicked any) error {
	if err, ok := panicked.(runtime.Error); ok {
		return fmt.Errorf("panic: %w", err)
	}
	return fmt.Errorf("panic with a %T", panicked)
}
