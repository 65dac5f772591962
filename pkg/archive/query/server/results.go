package server

import (
	"context"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/access"
)

// resultsService implements tekton.results.v1alpha2.Results.
type resultsService struct {
	pb.UnimplementedResultsServer
	*Server
}

var errNoParent = status.Error(codes.InvalidArgument, "parent missing")

func (s *resultsService) GetResult(ctx context.Context, r *pb.GetResultRequest) (*pb.Result, error) {
	n, err := parse(resultPattern, r.GetName())
	if err == nil {
		err = s.allow(ctx, access.Get, access.Results, n.parent)
	}
	if err != nil {
		return nil, err
	}
	return s.Engine.GetResult(ctx, n.parent, n.result)
}

func (s *resultsService) ListResults(ctx context.Context, r *pb.ListResultsRequest) (*pb.ListResultsResponse, error) {
	if r.GetParent() == "" {
		return nil, errNoParent
	}
	n, err := parse(parentPattern, r.GetParent())
	if err != nil {
		return nil, err
	}
	q := query.List{Filter: r.GetFilter(), OrderBy: r.GetOrderBy(), PageToken: r.GetPageToken(),
		PageSize: r.GetPageSize()}
	leave, err := s.beginList(ctx, &q, n, access.List, access.Results)
	if err != nil {
		return nil, err
	}
	defer leave()
	page, err := s.Engine.ListResults(ctx, q)
	if err != nil {
		return nil, err
	}
	return &pb.ListResultsResponse{Results: page.Items, NextPageToken: page.NextPageToken}, nil
}

func (s *resultsService) CreateResult(ctx context.Context, r *pb.CreateResultRequest) (*pb.Result, error) {
	n, err := parseNew(resultPattern, r.GetResult().GetName())
	if err == nil && r.GetParent() != n.parent {
		err = errOtherParent
	}
	if err == nil {
		err = s.allow(ctx, access.Create, access.Results, n.parent)
	}
	if err == nil {
		err = checkSummary(r.GetResult().GetSummary())
	}
	if err != nil {
		return nil, err
	}
	return s.Writer.CreateResult(ctx, r.GetResult())
}

var errOtherParent = status.Error(codes.InvalidArgument, "requested parent does not match resource name")

// checkSummary rejects summaries without a record or type.
func checkSummary(summary *pb.RecordSummary) error {
	switch {
	case summary == nil:
	case summary.GetRecord() == "" || summary.GetType() == "":
		return status.Error(codes.InvalidArgument, "record and type fields required for RecordSummary")
	case !recordPattern.MatchString(summary.GetRecord()):
		return status.Error(codes.InvalidArgument, "invalid record format")
	default:
		return checkType(summary.GetType())
	}
	return nil
}

func (s *resultsService) UpdateResult(ctx context.Context, r *pb.UpdateResultRequest) (*pb.Result, error) {
	// With REST only the Result has the name.
	text := r.GetName()
	if text == "" {
		text = r.GetResult().GetName()
	}
	n, err := parseNew(resultPattern, text)
	if err == nil && r.GetResult().GetName() != "" && r.GetResult().GetName() != text {
		err = status.Error(codes.InvalidArgument, "requested name does not match resource name")
	}
	if err == nil {
		err = s.allow(ctx, access.Update, access.Results, n.parent)
	}
	if err == nil {
		err = checkSummary(r.GetResult().GetSummary())
	}
	if err != nil {
		return nil, err
	}
	return s.Writer.UpdateResult(ctx, &pb.Result{
		Name: text, Annotations: r.GetResult().GetAnnotations(), Summary: r.GetResult().GetSummary(),
	}, r.GetEtag())
}

func (s *resultsService) DeleteResult(ctx context.Context, r *pb.DeleteResultRequest) (*emptypb.Empty, error) {
	n, err := parseNew(resultPattern, r.GetName())
	if err == nil {
		err = s.allow(ctx, access.Delete, access.Results, n.parent)
	}
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.Writer.DeleteResult(ctx, n.parent, n.result)
}
