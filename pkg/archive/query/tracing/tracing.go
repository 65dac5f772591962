// Package tracing makes the spans of requests to the query API: one of the request, with the RPC's
// name, code and number of rows; below it those of the reviews at the API server, of reads of the
// index, and of opening objects. No span has a value: no filter, no name of a run, no namespace, no
// error's text. Without a provider (pkg/daemon/tracing) spans are not recorded.
package tracing

import (
	"context"
	"io"
	"net/http"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

const scope = "github.com/indelible-ci/indelible/pkg/archive/query"

// Continue returns a context with the trace of which a request says it is part.
func Continue(ctx context.Context, header http.Header) context.Context {
	return otel.GetTextMapPropagator().Extract(ctx, propagation.HeaderCarrier(header))
}

// Request starts the span of an RPC, by the conventions for RPC
// (https://opentelemetry.io/docs/specs/semconv/rpc/). end is called with the code and the number of
// rows of the answer, and whether the server is at fault.
func Request(ctx context.Context, method string) (
	_ context.Context, end func(code string, rows int, fault bool),
) {
	ctx, span := otel.Tracer(scope).Start(ctx, method, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("rpc.system", "grpc"), attribute.String("rpc.method", method)))
	return ctx, func(code string, rows int, fault bool) {
		span.SetAttributes(attribute.String("rpc.grpc.status", code), attribute.Int("indelible.rows", rows))
		if fault {
			span.SetStatus(codes.Error, code)
		}
		span.End()
	}
}

// Step does a part of a request in a span of its own. Outside of a request there is none: a caller
// who is not authenticated must not fill the place where traces go.
func Step[T any](ctx context.Context, name string, do func(context.Context) (T, error)) (T, error) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return do(ctx)
	}
	ctx, span := otel.Tracer(scope).Start(ctx, name)
	defer span.End()
	got, err := do(ctx)
	if err != nil {
		span.SetStatus(codes.Error, "failed")
	}
	return got, err
}

// Store returns a store in which opening an object is a step.
func Store(s store.Store) store.Store { return objects{s} }

type objects struct{ store.Store }

func (o objects) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	return Step(ctx, "open object", func(ctx context.Context) (io.ReadCloser, error) { return o.Store.Open(ctx, key) })
}

// Reader returns an index's reader whose reads are steps.
func Reader(r index.Reader) index.Reader { return reader{r} }

type reader struct{ index.Reader }

func (r reader) Groups(ctx context.Context, cluster string) ([]index.Group, error) {
	return Step(ctx, "index groups", func(ctx context.Context) ([]index.Group, error) {
		return r.Reader.Groups(ctx, cluster)
	})
}

func (r reader) Entries(ctx context.Context, s index.Scan) ([]index.Entry, error) {
	return Step(ctx, "index entries", func(ctx context.Context) ([]index.Entry, error) {
		return r.Reader.Entries(ctx, s)
	})
}

func (r reader) Load(ctx context.Context, entries []*index.Entry) error {
	_, err := Step(ctx, "index records", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, r.Reader.Load(ctx, entries)
	})
	return err
}

func (r reader) Results(ctx context.Context, s index.ResultScan) ([]index.ResultEntry, error) {
	return Step(ctx, "index results", func(ctx context.Context) ([]index.ResultEntry, error) {
		return r.Reader.Results(ctx, s)
	})
}

func (r reader) Counts(ctx context.Context, s index.CountScan) ([]index.Count, error) {
	return Step(ctx, "index counts", func(ctx context.Context) ([]index.Count, error) {
		return r.Reader.Counts(ctx, s)
	})
}
