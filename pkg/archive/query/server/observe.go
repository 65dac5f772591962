package server

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime/debug"
	"strings"
	"time"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/indelible-ci/indelible/pkg/archive/query/tracing"
)

// isOurs says whether a method is part of the API. Health and reflection are public, and have no
// metrics.
func isOurs(method string) bool { return strings.HasPrefix(method, "/tekton.results.v1alpha2.") }

// unary is the interceptor of calls.
func (s *Server) unary(
	ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler,
) (answer any, err error) {
	if !isOurs(info.FullMethod) {
		return handle(ctx, request)
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	err = s.observe(ctx, path.Base(info.FullMethod), request, func(ctx context.Context) (int, error) {
		if _, err := callerOf(ctx); err != nil {
			return 0, err
		}
		ctx, mask := withFields(ctx)
		if answer, err = handle(ctx, request); err != nil {
			answer = nil
			return 0, err
		}
		if message, ok := answer.(proto.Message); ok {
			mask.filter(message.ProtoReflect())
		}
		return rowsOf(answer), nil
	})
	return answer, err
}

// stream is the interceptor of streams.
func (s *Server) stream(
	service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler,
) error {
	stream = withFlow(stream)
	if !isOurs(info.FullMethod) {
		return handle(service, stream)
	}
	return s.observe(stream.Context(), path.Base(info.FullMethod), nil, func(ctx context.Context) (int, error) {
		if _, err := callerOf(ctx); err != nil {
			return 0, err
		}
		return 0, handle(service, &streamWith{stream, ctx})
	})
}

// streamWith is a stream with another context.
type streamWith struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // gRPC asks the stream for it
}

func (s *streamWith) Context() context.Context { return s.ctx }

// observe counts and traces a request, logs it if it was slow or failed on our side, and turns a
// panic into an error.
func (s *Server) observe(
	ctx context.Context, method string, request any, do func(context.Context) (rows int, err error),
) (err error) {
	began := time.Now()
	ctx, end := tracing.Request(ctx, method)
	rows := 0
	defer func() {
		if p := recover(); p != nil {
			s.Log.Error(fmt.Errorf("panic: %v", p), "A request failed", "method", method, "stack",
				string(debug.Stack()))
			err = errInternal
		}
		s.observed(method, request, time.Since(began), rows, err)
		end(codeOf(err).String(), rows, isFault(codeOf(err)))
		err = forCaller(err)
	}()
	rows, err = do(ctx)
	return err
}

// observeOnly counts failures. A success is counted by the method that follows.
func (s *Server) observeOnly(method string, do func() error) error {
	began := time.Now()
	err := do()
	if err != nil {
		s.observed(method, nil, time.Since(began), 0, err)
	}
	return forCaller(err)
}

func (s *Server) observed(method string, request any, took time.Duration, rows int, err error) {
	code := codeOf(err)
	s.Metrics.observe(method, code, took, rows)
	values := []any{"method", method, "code", code.String(), "seconds", took.Seconds(), "rows", rows}
	values = append(values, shapeOf(request)...)
	switch {
	case isFault(code):
		s.Log.Error(err, "A request failed", values...)
	case took >= s.Slow && method != "GetLog" && method != "UpdateLog":
		s.Log.Info("A request was slow", values...)
	}
}

// isFault reports whether a request failed on our side.
func isFault(code codes.Code) bool {
	return code == codes.Internal || code == codes.Unavailable || code == codes.DataLoss || code == codes.Unknown
}

// codeOf returns the code of an error, even if it has no status.
func codeOf(err error) codes.Code {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return codes.Canceled
	}
	return status.Code(err)
}

// forCaller hides an error without a status: it may name what the caller may not see.
func forCaller(err error) error {
	code := codeOf(err)
	said, ok := status.FromError(err)
	var ours interface{ Unwrap() error }
	switch {
	case err == nil:
		return nil
	case code == codes.Internal && !errors.As(err, &ours):
		return errInternal
	case code == codes.Unavailable && !errors.As(err, &ours):
		// The engine's error has the database's text, with hosts, users and statements. Errors that
		// unwrap have one text for the log and another for the caller.
		return status.Error(code, "the index cannot be read now, or is incomplete: try again")
	case ok && code == said.Code() && code != codes.Unknown:
		return said.Err()
	case code == codes.DeadlineExceeded:
		return status.Error(code, "the request took too long: narrow its filter, or ask for one namespace")
	case code == codes.Canceled:
		return status.Error(code, "the request was canceled")
	}
	return errInternal
}

var errInternal = status.Error(codes.Internal, "internal error; the server's log has more")

func rowsOf(answer any) int {
	switch a := answer.(type) {
	case *pb.ListRecordsResponse:
		return len(a.GetRecords())
	case *pb.ListResultsResponse:
		return len(a.GetResults())
	case *pb.RecordListSummary:
		return len(a.GetSummary())
	case *pb.Record, *pb.Result:
		return 1
	}
	return 0
}

// shapeOf describes a query without its values.
func shapeOf(request any) []any {
	var shape []any
	if r, ok := request.(interface{ GetFilter() string }); ok && r.GetFilter() != "" {
		shape = append(shape, "filter", filterShape(r.GetFilter()))
	}
	if r, ok := request.(interface{ GetParent() string }); ok {
		shape = append(shape, "allNamespaces", r.GetParent() == wildcard ||
			strings.HasPrefix(r.GetParent(), wildcard+"/"))
	}
	if r, ok := request.(interface{ GetPageSize() int32 }); ok {
		shape = append(shape, "pageSize", r.GetPageSize())
	}
	return shape
}
