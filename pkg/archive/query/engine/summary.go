package engine

import (
	"context"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/query"
)

// Summarize implements query.Engine.
func (e *Engine) Summarize(ctx context.Context, q query.Summary) (*pb.RecordListSummary, error) {
	return nil, status.Error(codes.Unimplemented, "not yet")
}
