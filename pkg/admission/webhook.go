// Package admission is how API servers reach the webhooks: TLS, paths, deadlines, and how much is let in at a time.
// What is decided is up to the handlers in inject, guard, fit and protect.
//
// A handler that breaks, or a request that is not let in, is answered by an HTTP error and not by a denial: it is then
// the failure policy of the webhook configuration that decides. Ignore lets a Pod pass that could not be
// injected; Fail refuses a status write that nobody has checked, and the publisher tries again.
package admission

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// Paths of the webhooks, as the configurations in config/webhook and config/archive name them.
const (
	InjectPath         = "/inject"
	GuardPath          = "/guard"
	GuardElsewherePath = "/guard-elsewhere" // namespaces that have not opted in
	CarryOverPath      = "/carry-over"
	FitPath            = "/fit"
	ProtectPath        = "/protect"
)

// Options are what a server works with.
type Options struct {
	Inject, Guard, GuardElsewhere, CarryOver, Fit, Protect admission.Handler
	// GetCertificate returns the certificate to serve with.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// InFlight bounds the bodies of all requests let in at a time, in bytes; 0 means DefaultInFlight.
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
		InjectPath: o.Inject, GuardPath: o.Guard, GuardElsewherePath: o.GuardElsewhere, CarryOverPath: o.CarryOver, FitPath: o.Fit, ProtectPath: o.Protect,
	} {
		paths.Register(path, gate.guarding(answering(handler, o.Log.WithValues("path", path))))
	}
	return &http.Server{
		Handler: mux,
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS12, // what API servers negotiate is 1.3
			GetCertificate: o.GetCertificate,
		},
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       maxTimeout,
		WriteTimeout:      2 * maxTimeout,
		IdleTimeout:       2 * time.Minute, // longer than the API server's 90 s: it is the client that closes
		HTTP2:             http2Windows(),
		// "TLS handshake error … bad certificate" is how an API server says that it does not trust us.
		ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(o.Log), slog.LevelInfo),
	}
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
