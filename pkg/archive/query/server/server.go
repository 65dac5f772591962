package server

import (
	"context"
	"math"
	"time"

	"github.com/go-logr/logr"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/access"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Options are the parts of a Server.
type Options struct {
	// Engine answers reads.
	Engine query.Engine
	// Writer stores; nil makes the API read-only, and writes Unimplemented.
	Writer query.Writer
	// Store is where logs are read from.
	Store store.Store
	// Overlays are logs that tools wrote; nil if there are none.
	Overlays Overlays
	// Live reads logs of runs that are not archived yet; nil if there is no cluster.
	Live Live
	// Access authenticates and authorizes callers.
	Access Access
	// Ready returns why the server cannot answer, nil if it can.
	Ready func() error
	// Metrics and Log record requests.
	Metrics *Metrics
	Log     logr.Logger
	// Slow is the duration from which a request is logged; 0 is a second.
	Slow time.Duration
	// Timeout bounds a request other than a log; 0 is 30 seconds.
	Timeout time.Duration
	// BodyTime is how long a client may take to send a body, or a message of a stream; 0 is 10
	// seconds.
	BodyTime time.Duration
	// MaxMessage bounds a request, in bytes; 0 is 6 MiB: an object has at most object.MaxData, and
	// is a third larger in JSON.
	MaxMessage int
}

// Access authenticates and authorizes; see package access.
type Access interface {
	Authenticate(ctx context.Context, r access.Request) (*access.Caller, error)
	Allow(ctx context.Context, caller *access.Caller, verb access.Verb, resource access.Resource,
		namespace string) error
	Namespaces(ctx context.Context, caller *access.Caller, verb access.Verb, resource access.Resource,
		all func(ctx context.Context, limit int) ([]string, error)) ([]string, error)
}

const (
	defaultSlow       = time.Second
	defaultTimeout    = 30 * time.Second
	defaultBodyTime   = 10 * time.Second
	defaultMaxMessage = 6 << 20
)

// Server is the API.
type Server struct {
	Options
	grpc   *grpc.Server
	rest   *runtime.ServeMux
	health *health.Server
	lists  *gate
	// bodies counts the bytes of requests in memory.
	bodies *bodies
	// clientStreams are the paths of methods whose clients may send several messages.
	clientStreams map[string]bool
}

// New returns a server. ctx ends with the program.
func New(ctx context.Context, o Options) (*Server, error) {
	o.setDefaults()
	s := &Server{
		Options: o, health: health.NewServer(), lists: newGate(), bodies: newBodies(), clientStreams: map[string]bool{},
	}
	for _, service := range []string{"", pb.Results_ServiceDesc.ServiceName, pb.Logs_ServiceDesc.ServiceName} {
		s.health.SetServingStatus(service, healthpb.HealthCheckResponse_SERVING)
	}
	s.grpc = grpc.NewServer(grpc.UnaryInterceptor(s.unary), grpc.StreamInterceptor(s.stream),
		grpc.MaxRecvMsgSize(o.MaxMessage), grpc.MaxSendMsgSize(math.MaxInt32))
	s.register(s.grpc)
	reflection.Register(s.grpc)
	for service, info := range s.grpc.GetServiceInfo() {
		for _, method := range info.Methods {
			s.clientStreams["/"+service+"/"+method.Name] = method.IsClientStream
		}
	}
	local := newLocal(s.unary)
	s.register(local)
	var err error
	s.rest, err = s.newREST(ctx, local)
	return s, err
}

func (o *Options) setDefaults() {
	if o.Slow == 0 {
		o.Slow = defaultSlow
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.BodyTime == 0 {
		o.BodyTime = defaultBodyTime
	}
	if o.MaxMessage == 0 {
		o.MaxMessage = defaultMaxMessage
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	if o.Writer == nil {
		o.Writer = readOnly{}
	}
}

func (s *Server) register(to grpc.ServiceRegistrar) {
	pb.RegisterResultsServer(to, &resultsService{Server: s})
	pb.RegisterLogsServer(to, &logsService{Server: s})
	healthpb.RegisterHealthServer(to, &healthService{s.health, s.Ready})
}

// healthService reports whether the server is ready now.
type healthService struct {
	*health.Server
	ready func() error
}

// Check implements the health protocol.
func (h *healthService) Check(
	ctx context.Context, r *healthpb.HealthCheckRequest,
) (*healthpb.HealthCheckResponse, error) {
	answer, err := h.Server.Check(ctx, r)
	if err == nil && h.ready() != nil {
		answer = &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}
	}
	return answer, err
}
