package server

import (
	"context"
	"io"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// readOnly is the Writer of a read-only API.
type readOnly struct{}

var errReadOnly = status.Error(codes.Unimplemented, "this API is read-only")

func (readOnly) CreateResult(context.Context, *pb.Result) (*pb.Result, error) {
	return nil, errReadOnly
}

func (readOnly) UpdateResult(context.Context, *pb.Result, string) (*pb.Result, error) {
	return nil, errReadOnly
}

func (readOnly) DeleteResult(context.Context, string, string) error { return errReadOnly }

func (readOnly) CreateRecord(context.Context, *pb.Record) (*pb.Record, error) {
	return nil, errReadOnly
}

func (readOnly) UpdateRecord(context.Context, *pb.Record, string) (*pb.Record, error) {
	return nil, errReadOnly
}

func (readOnly) DeleteRecord(context.Context, string, string, string) error { return errReadOnly }

func (readOnly) UpdateLog(context.Context, string, string, string, io.Reader) (int64, error) {
	return 0, errReadOnly
}

func (readOnly) DeleteLog(context.Context, string, string, string) error { return errReadOnly }
