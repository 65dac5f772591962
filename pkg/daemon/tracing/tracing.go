// Package tracing sends a program's OpenTelemetry traces to where the environment says. It is apart
// from pkg/daemon because the webhook links no exporter.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// flushing bounds how long a program that ends waits for its last spans to be sent.
const flushing = 5 * time.Second

// Start exports spans if OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set,
// unless OTEL_SDK_DISABLED is "true". The protocol is OTEL_EXPORTER_OTLP_TRACES_PROTOCOL or
// OTEL_EXPORTER_OTLP_PROTOCOL: http/protobuf, the default, or grpc. All other variables are those
// of https://opentelemetry.io/docs/languages/sdk-configuration/, such as OTEL_TRACES_SAMPLER and
// OTEL_EXPORTER_OTLP_HEADERS. stop sends what is left.
func Start(ctx context.Context, service, version string, log logr.Logger) (stop func(), err error) {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" || first("ENDPOINT") == "" {
		return func() {}, nil
	}
	exporter, err := newExporter(ctx)
	if err != nil {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	what, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", service),
		attribute.String("service.version", version)), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(what))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Error(err, "Traces could not be exported; requests are served all the same")
	}))
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	log.Info("Exporting traces", "endpoint", first("ENDPOINT"))
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushing)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			log.Error(err, "The last traces could not be exported")
		}
	}, nil
}

// newExporter returns an exporter for the protocol that the environment names.
func newExporter(ctx context.Context) (trace.SpanExporter, error) {
	switch protocol := first("PROTOCOL"); protocol {
	case "", "http/protobuf":
		return otlptracehttp.New(ctx)
	case "grpc":
		return otlptracegrpc.New(ctx)
	default:
		return nil, fmt.Errorf("protocol %q of OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf or grpc", protocol)
	}
}

// first returns a setting of traces, or of everything that is exported.
func first(setting string) string {
	if value := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_" + setting); value != "" {
		return value
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_" + setting)
}
