package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// prefix is the prefix of REST paths.
const prefix = "/apis/results.tekton.dev/v1alpha2/parents/"

// newREST returns the REST handler. Its JSON is Tekton Results': field names as in the protos,
// empty fields left out.
func (s *Server) newREST(ctx context.Context, to *local) (*runtime.ServeMux, error) {
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{
			MarshalOptions:   protojson.MarshalOptions{UseProtoNames: true},
			UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: true},
		}),
		runtime.WithMetadata(annotateFields),
		runtime.WithErrorHandler(bodyError),
		// Otherwise a POST with curl's default Content-Type, which is a form's, is handled as a GET
		// if the path has no POST: with 200, but nothing is stored.
		runtime.WithDisablePathLengthFallback(),
		// the caller is authenticated already
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithHealthzEndpoint(healthpb.NewHealthClient(to)),
	)
	if err := pb.RegisterResultsHandlerClient(ctx, mux, pb.NewResultsClient(to)); err != nil {
		return nil, fmt.Errorf("register REST: %w", err)
	}
	if err := pb.RegisterLogsHandlerClient(ctx, mux, pb.NewLogsClient(to)); err != nil {
		return nil, fmt.Errorf("register REST: %w", err)
	}
	// v1alpha3 is where Tekton Results has logs of other backends; consoles request either.
	for path, handle := range map[string]runtime.HandlerFunc{
		prefix + "{name=*/results/*/logs/*}":                                  s.restLog(mux, s.namedLog),
		"/apis/results.tekton.dev/v1alpha3/parents/{name=*/results/*/logs/*}": s.restLog(mux, s.namedLog),
		"/external-logs/{namespace}/{pod}/{container}":                        s.restLog(mux, s.externalLog),
	} {
		if err := mux.HandlePath(http.MethodGet, path, handle); err != nil {
			return nil, fmt.Errorf("register REST: %w", err)
		}
	}
	return mux, nil
}

// findLog finds the log of a path.
type findLog func(ctx context.Context, path map[string]string) (*openLog, error)

func (s *Server) namedLog(ctx context.Context, path map[string]string) (*openLog, error) {
	return s.getLog(ctx, path["name"])
}

// restLog writes a log as text. An error in the middle breaks the connection: the client must not
// take the part for the whole.
func (s *Server) restLog(mux *runtime.ServeMux, find findLog) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, path map[string]string) {
		to := &logWriter{w: w}
		err := s.observe(r.Context(), "GetLog", nil, func(ctx context.Context) (int, error) {
			log, err := find(ctx, path)
			if err != nil {
				return 0, err
			}
			return 0, log.writeTo(to, s.Metrics)
		})
		switch {
		case err != nil && to.begun:
			panic(http.ErrAbortHandler)
		case err != nil:
			restError(mux, w, r, err)
		default:
			to.begin()
		}
	}
}

func restError(mux *runtime.ServeMux, w http.ResponseWriter, r *http.Request, err error) {
	_, marshaler := runtime.MarshalerForRequest(mux, r)
	runtime.HTTPError(r.Context(), mux, marshaler, w, r, err)
}

// logWriter sends the header with the first byte.
type logWriter struct {
	w     http.ResponseWriter
	begun bool
}

func (l *logWriter) begin() {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", textPlain)
		l.w.Header().Set("X-Content-Type-Options", "nosniff") // browsers must not run what a step prints
	}
}

// reading is how long a client may take to read a chunk.
const reading = time.Minute

func (l *logWriter) Write(p []byte) (int, error) {
	l.begin()
	// not every ResponseWriter supports it
	_ = http.NewResponseController(l.w).SetWriteDeadline(time.Now().Add(reading))
	return l.w.Write(p)
}

// isGRPC tells gRPC from REST, which share the port.
func isGRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}
