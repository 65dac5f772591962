package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A client's trace, as W3C's Trace Context writes it.
const traceID, traceParent = "4bf92f3577b34da6a3ce929d0e0e4736", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// record records the spans of the test. Providers are global, so no test runs at the same time.
func record(t *testing.T) *tracetest.SpanRecorder {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	provider, propagator := otel.GetTracerProvider(), otel.GetTextMapPropagator()
	otel.SetTracerProvider(sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder)))
	otel.SetTextMapPropagator(propagation.TraceContext{})
	t.Cleanup(func() {
		otel.SetTracerProvider(provider)
		otel.SetTextMapPropagator(propagator)
	})
	return recorder
}

// A request is a span of the client's trace, what it waits for is below it, and nothing in it tells
// whose runs it is about.
func TestTraces(t *testing.T) {
	const filter = `data_type == TASK_RUN && data.metadata.name == "lint-secret"`
	for name, tt := range map[string]struct {
		do   func(r *rig) error
		want []string // span, its code and rows, or below what it is
	}{
		"a list over gRPC": {func(r *rig) error {
			_, err := r.Results.ListRecords(r.As(member, "traceparent", traceParent),
				&pb.ListRecordsRequest{Parent: "team/results/-", Filter: filter})
			return err
		}, []string{"ListRecords OK 0", "review below ListRecords", "index groups below ListRecords"}},
		"a list over REST": {func(r *rig) error {
			code, text, _ := r.REST(member, http.MethodGet, prefix+"team/results/-/records?filter="+
				url.QueryEscape(filter), "", "traceparent", traceParent)
			return wantOK(code, text)
		}, []string{"ListRecords OK 0", "review below ListRecords", "index groups below ListRecords"}},
		"a log, over gRPC": {func(r *rig) error {
			stream, err := r.Logs.GetLog(r.As(member, "traceparent", traceParent), &pb.GetLogRequest{Name: failed.log()})
			for err == nil {
				_, err = stream.Recv()
			}
			return ended(err)
		}, []string{"GetLog OK 0", "review below GetLog"}},
		"a log, over REST": {func(r *rig) error {
			code, text, _ := r.REST(member, http.MethodGet, prefix+failed.log(), "", "traceparent", traceParent)
			return wantOK(code, text)
		}, []string{"GetLog OK 0", "review below GetLog"}},
		"a request that is refused": {func(r *rig) error {
			_, err := r.Results.ListRecords(r.As(nobody, "traceparent", traceParent),
				&pb.ListRecordsRequest{Parent: "team/results/-"})
			if err == nil {
				return fmt.Errorf("it is not refused")
			}
			return nil
		}, []string{"ListRecords PermissionDenied 0", "review below ListRecords"}},
		"nothing of a stranger's": {func(r *rig) error {
			if _, err := r.Results.ListRecords(r.As("forged", "traceparent", traceParent),
				&pb.ListRecordsRequest{Parent: "team/results/-"}); err == nil {
				return fmt.Errorf("it is not refused")
			}
			return nil
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newFullRig(t)
			recorder := record(t)
			if err := tt.do(r); err != nil {
				t.Fatal(err)
			}
			r.must(r.stop()) // waits for requests
			got := describeSpans(t, recorder.Ended())
			for _, want := range tt.want {
				if !slices.Contains(got, want) {
					t.Errorf("%q is not among %q", want, got)
				}
			}
			if len(tt.want) == 0 && len(got) > 0 {
				t.Errorf("got %q", got)
			}
			for _, secret := range []string{"secret", "team", "lint", member, nobody, "forged"} {
				if text := fmt.Sprintf("%+v", tracetest.SpanStubsFromReadOnlySpans(recorder.Ended())); strings.Contains(text, secret) {
					t.Errorf("a span has %q", secret)
				}
			}
		})
	}
}

func wantOK(code int, text string) error {
	if code != http.StatusOK {
		return fmt.Errorf("%d: %s", code, text)
	}
	return nil
}

// describeSpans checks that all spans are of the client's trace.
func describeSpans(t *testing.T, spans []sdk.ReadOnlySpan) []string {
	t.Helper()
	names := map[string]string{}
	for _, s := range spans {
		names[s.SpanContext().SpanID().String()] = s.Name()
	}
	var got []string
	for _, s := range spans {
		if diff := cmp.Diff(traceID, s.SpanContext().TraceID().String()); diff != "" {
			t.Errorf("%s is of another trace: %s", s.Name(), diff)
		}
		values := map[string]string{}
		for _, a := range s.Attributes() {
			values[string(a.Key)] = a.Value.String()
		}
		if parent := names[s.Parent().SpanID().String()]; parent != "" {
			got = append(got, s.Name()+" below "+parent)
			continue
		}
		got = append(got, strings.Join([]string{s.Name(), values["rpc.grpc.status"], values["indelible.rows"]}, " "))
	}
	return got
}

// ended returns nil for the end of a stream.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
