// Package admission is how API servers reach the webhooks: TLS, paths, who calls, deadlines, and how much is let in at a
// time. What is decided is up to the handlers in inject, guard, fit and protect.
//
// A handler that breaks, or a request that is not let in, is answered by an HTTP error and not by a denial: it is then
// the failure policy of the webhook configuration that decides. Ignore lets a Pod pass that could not be
// injected; Fail refuses a status write that nobody has checked, and the publisher tries again.
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

// Options are what a server works with.
type Options struct {
	Inject, Guard, GuardElsewhere, CarryOver, Report, Fit, Protect admission.Handler
	// Callers says how API servers are known.
	Callers Callers
	// GetCertificate returns the certificate to serve with.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// InFlight bounds the bodies of all requests let in at a time of callers that do not authenticate, in bytes; 0 means
	// DefaultInFlight.
	InFlight int64
	Log      logr.Logger
}

// NewServer returns a server for ServeTLS with empty file names. The context of a request under way survives the
// start of Shutdown, which is why controller-runtime's own server is only used for its paths and metrics
// (controller_runtime_webhook_*).
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
		IdleTimeout:       2 * time.Minute, // longer than the API server's 90 s: it is the client that closes
		HTTP2:             http2Windows(),
		// "TLS handshake error … bad certificate" is how an API server says that it does not trust us.
		ErrorLog: errorLog(o.Log),
	}
}

// errorLog passes on ten lines and then one in six seconds: what it is told about is as frequent as whoever reaches the
// port wants it to be.
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

// headerTimeout bounds TLS handshakes and the reading of headers: half of the timeout of our webhooks.
const headerTimeout = 5 * time.Second

func tlsConfig(o Options) *tls.Config {
	c := &tls.Config{
		MinVersion:     tls.VersionTLS12, // what API servers negotiate is 1.3
		GetCertificate: o.GetCertificate,
	}
	if o.Callers.ClientCAs != nil {
		// Who has none is answered by HTTP, which tells an administrator more than a handshake that fails.
		c.ClientCAs, c.ClientAuth = o.Callers.ClientCAs, tls.VerifyClientCertIfGiven
	}
	return c
}

// answering turns a handler into an HTTP handler that answers a panic with status 500. What a panic says may hold
// a part of a result, so only its type is logged, or what the Go runtime says of its own.
func answering(handler admission.Handler, log logr.Logger) http.Handler {
	rethrow := false
	hook := &admission.Webhook{
		RecoverPanic: &rethrow,
		Handler: admission.HandlerFunc(func(ctx context.Context, req admission.Request) admission.Response {
			defer func() {
				if r := recover(); r != nil {
					err := describe(r)
					log.Error(err, "Panic while deciding", "namespace", req.Namespace, "name", req.Name, "stack", string(debug.Stack()))
					panic(err) // controller-runtime counts it
				}
			}()
			return handler.Handle(ctx, req)
		}),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				http.Error(w, "the webhook broke while deciding; its log has the reason", http.StatusInternalServerError)
			}
		}()
		hook.ServeHTTP(w, r)
	})
}

// describe says what panicked without repeating data.
func describe(panicked any) error {
	if err, ok := panicked.(runtime.Error); ok {
		return fmt.Errorf("panic: %w", err)
	}
	return fmt.Errorf("panic with a %T", panicked)
}
