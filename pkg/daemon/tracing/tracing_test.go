package tracing

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collected is what an OpenTelemetry collector got: service and span of each.
func collected(t *testing.T, do func(endpoint string)) []string {
	t.Helper()
	var spans []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		var got collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &got); err != nil {
			t.Error(err)
		}
		for _, resource := range got.GetResourceSpans() {
			service := ""
			for _, a := range resource.GetResource().GetAttributes() {
				if a.GetKey() == "service.name" {
					service = a.GetValue().GetStringValue()
				}
			}
			for _, scope := range resource.GetScopeSpans() {
				for _, s := range scope.GetSpans() {
					spans = append(spans, service+" "+s.GetName())
				}
			}
		}
	}))
	do(server.URL)
	server.Close() // waits for requests
	return spans
}

func TestSpansAreExportedWhereTheEnvironmentSays(t *testing.T) {
	for name, tt := range map[string]struct {
		environment map[string]string // ENDPOINT is the collector's
		want        string
	}{
		"nowhere by default":   {nil, ""},
		"to an endpoint":       {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "ENDPOINT"}, "indelible-api a request"},
		"to one of traces":     {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "ENDPOINT/v1/traces"}, "indelible-api a request"},
		"not if it is off":     {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "ENDPOINT", "OTEL_SDK_DISABLED": "true"}, ""},
		"under another name":   {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "ENDPOINT", "OTEL_SERVICE_NAME": "mine"}, "mine a request"},
		"unless not sampled":   {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "ENDPOINT", "OTEL_TRACES_SAMPLER": "always_off"}, ""},
		"by a protocol it has": {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "indelible-api a request"},
	} {
		t.Run(name, func(t *testing.T) {
			before := otel.GetTracerProvider()
			defer otel.SetTracerProvider(before)
			got := collected(t, func(endpoint string) {
				for variable, value := range tt.environment {
					t.Setenv(variable, strings.ReplaceAll(value, "ENDPOINT", endpoint))
				}
				stop, err := Start(t.Context(), "indelible-api", "v1", logr.Discard())
				if err != nil {
					t.Fatal(err)
				}
				_, span := otel.Tracer("test").Start(t.Context(), "a request", trace.WithNewRoot())
				span.End()
				stop()
			})
			if strings.Join(got, ", ") != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAProtocolThatIsNone(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
	if _, err := Start(t.Context(), "x", "v1", logr.Discard()); err == nil ||
		!strings.Contains(err.Error(), "must be http/protobuf or grpc") {
		t.Errorf("got %v", err)
	}
}
