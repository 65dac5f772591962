package server

import (
	"context"
	"encoding/json"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/access"
)

func (s *resultsService) GetRecord(ctx context.Context, r *pb.GetRecordRequest) (*pb.Record, error) {
	n, err := parse(recordPattern, r.GetName())
	if err == nil {
		err = s.allow(ctx, access.Get, access.Records, n.parent)
	}
	if err != nil {
		return nil, err
	}
	return s.Engine.GetRecord(ctx, n.parent, n.result, n.id)
}

func (s *resultsService) ListRecords(ctx context.Context, r *pb.ListRecordsRequest) (*pb.ListRecordsResponse, error) {
	return s.listRecords(ctx, r, access.Records, s.Engine.ListRecords)
}

// listRecords lists records or logs.
func (s *Server) listRecords(ctx context.Context, r *pb.ListRecordsRequest, of access.Resource,
	list func(context.Context, query.List) (query.Page[*pb.Record], error),
) (*pb.ListRecordsResponse, error) {
	if r.GetParent() == "" {
		return nil, errNoParent
	}
	n, err := parse(resultPattern, r.GetParent())
	if err != nil {
		return nil, err
	}
	q := query.List{
		Filter: r.GetFilter(), OrderBy: r.GetOrderBy(), PageToken: r.GetPageToken(), PageSize: r.GetPageSize(),
		Metadata: !fieldsOf(ctx).wants("records", "data"),
	}
	leave, err := s.beginList(ctx, &q, n, access.List, of)
	if err != nil {
		return nil, err
	}
	defer leave()
	page, err := list(ctx, q)
	if err != nil {
		return nil, err
	}
	return &pb.ListRecordsResponse{Records: page.Items, NextPageToken: page.NextPageToken}, nil
}

func (s *resultsService) GetRecordListSummary(
	ctx context.Context, r *pb.RecordListSummaryRequest,
) (*pb.RecordListSummary, error) {
	if r.GetParent() == "" {
		return nil, errNoParent
	}
	n, err := parse(resultPattern, r.GetParent())
	if err != nil {
		return nil, err
	}
	q := query.Summary{List: query.List{Filter: r.GetFilter(), OrderBy: r.GetOrderBy()}, Summary: r.GetSummary(),
		GroupBy: r.GetGroupBy()}
	// Tekton Results requires get here, which its roles allow.
	leave, err := s.beginList(ctx, &q.List, n, access.Get, access.Records)
	if err != nil {
		return nil, err
	}
	defer leave()
	return s.Engine.Summarize(ctx, q)
}

func (s *resultsService) CreateRecord(ctx context.Context, r *pb.CreateRecordRequest) (*pb.Record, error) {
	n, err := parseNew(recordPattern, r.GetRecord().GetName())
	if err == nil && r.GetParent() != n.resultName() {
		err = errOtherParent
	}
	if err == nil {
		err = s.allow(ctx, access.Create, access.Records, n.parent)
	}
	if err == nil {
		err = checkData(r.GetRecord().GetData())
	}
	if err != nil {
		return nil, err
	}
	return s.Writer.CreateRecord(ctx, r.GetRecord())
}

func (s *resultsService) UpdateRecord(ctx context.Context, r *pb.UpdateRecordRequest) (*pb.Record, error) {
	n, err := parseNew(recordPattern, r.GetRecord().GetName())
	if err == nil {
		err = s.allow(ctx, access.Update, access.Records, n.parent)
	}
	if err == nil {
		err = checkData(r.GetRecord().GetData())
	}
	if err != nil {
		return nil, err
	}
	return s.Writer.UpdateRecord(ctx, &pb.Record{Name: r.GetRecord().GetName(), Data: r.GetRecord().GetData()},
		r.GetEtag())
}

func (s *resultsService) DeleteRecord(ctx context.Context, r *pb.DeleteRecordRequest) (*emptypb.Empty, error) {
	n, err := parseNew(recordPattern, r.GetName())
	if err == nil {
		err = s.allow(ctx, access.Delete, access.Records, n.parent)
	}
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.Writer.DeleteRecord(ctx, n.parent, n.result, n.id)
}

// maxType bounds a data type, in bytes, like Tekton Results' column.
const maxType = 768

func checkType(text string) error {
	if len(text) > maxType {
		return status.Errorf(codes.InvalidArgument, "type must not exceed %d characters", maxType)
	}
	return nil
}

// checkData rejects data that is not JSON.
func checkData(data *pb.Any) error {
	if data == nil {
		return nil
	}
	if err := checkType(data.GetType()); err != nil {
		return err
	}
	if !json.Valid(data.GetValue()) {
		return status.Error(codes.InvalidArgument, "data.value must be JSON")
	}
	return nil
}
