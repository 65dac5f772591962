package server

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// local connects REST to the services in this process: it calls the methods with the same
// interceptors, without socket or encoding. It has no streams, as REST reads logs in its own way.
type local struct {
	interceptor grpc.UnaryServerInterceptor
	methods     map[string]localMethod
}

type localMethod struct {
	service any
	handler grpc.MethodHandler
}

func newLocal(interceptor grpc.UnaryServerInterceptor) *local {
	return &local{interceptor, map[string]localMethod{}}
}

// RegisterService implements grpc.ServiceRegistrar.
func (l *local) RegisterService(description *grpc.ServiceDesc, service any) {
	for _, method := range description.Methods {
		l.methods["/"+description.ServiceName+"/"+method.MethodName] = localMethod{service, method.Handler}
	}
}

// Invoke implements grpc.ClientConnInterface.
func (l *local) Invoke(ctx context.Context, method string, request, answer any, _ ...grpc.CallOption) error {
	found, ok := l.methods[method]
	if !ok {
		return status.Errorf(codes.Unimplemented, "unknown method %s", method)
	}
	sent, _ := metadata.FromOutgoingContext(ctx)
	got, err := found.handler(found.service, metadata.NewIncomingContext(ctx, sent), func(to any) error {
		return merge(to, request)
	}, l.interceptor)
	if err != nil {
		return status.Convert(err).Err()
	}
	return merge(answer, got)
}

func merge(to, from any) error {
	target, ok := to.(proto.Message)
	source, okay := from.(proto.Message)
	if !ok || !okay {
		return status.Error(codes.Internal, fmt.Sprintf("%T is no message", from))
	}
	proto.Merge(target, source)
	return nil
}

// NewStream implements grpc.ClientConnInterface.
func (*local) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "no streams within the process")
}
