package server

import (
	"context"
	"maps"
	"slices"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/access"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

func (r *rig) options(change ...func(*Options)) Options {
	o := Options{
		Engine: tiny{index: r.index}, Store: r.archive, Access: access.New(r.cluster.Client),
		Metrics: NewMetrics(r.registry), Log: discard,
	}
	for _, c := range change {
		c(&o)
	}
	return o
}

// tiny is an Engine without filters.
type tiny struct {
	query.Engine
	index index.Index
}

func (e tiny) rows(ctx context.Context, parent, result string) (rows []index.Row) {
	for row, err := range e.index.Find(ctx, index.Query{Cluster: string(indextest.Cluster), Namespace: parent,
		Result: result, Records: true}) {
		if err != nil {
			panic(err)
		}
		rows = append(rows, row)
	}
	return rows
}

func record(row index.Row) *pb.Record {
	c := row.Commit.Run
	return &pb.Record{Name: c.Namespace + "/results/" + c.Result + "/records/" + c.UID, Uid: c.UID,
		Data: &pb.Any{Type: c.APIVersion + "." + c.Kind, Value: row.Record}}
}

func (e tiny) GetRecord(ctx context.Context, parent, result, id string) (*pb.Record, error) {
	for _, row := range e.rows(ctx, parent, result) {
		if row.Commit.Run.UID == id {
			return record(row), nil
		}
	}
	return nil, status.Error(codes.NotFound, "record not found")
}

func (e tiny) ListRecords(ctx context.Context, q query.List) (page query.Page[*pb.Record], err error) {
	for _, row := range e.rows(ctx, "", "") {
		if q.Namespaces == nil || slices.Contains(q.Namespaces, row.Commit.Run.Namespace) {
			page.Items = append(page.Items, record(row))
		}
	}
	return page, nil
}

func (e tiny) ListResults(ctx context.Context, q query.List) (page query.Page[*pb.Result], err error) {
	for _, row := range e.rows(ctx, "", "") {
		if c := row.Commit.Run; q.Namespaces == nil || slices.Contains(q.Namespaces, c.Namespace) {
			page.Items = append(page.Items, &pb.Result{Name: c.Namespace + "/results/" + c.Result})
		}
	}
	return page, nil
}

func (e tiny) Commit(ctx context.Context, parent, result, id string) (*manifest.Commit, error) {
	for _, row := range e.rows(ctx, parent, result) {
		if uid := row.Commit.Run.UID; uid == id || run.LogID(result, uid) == id {
			return row.Commit, nil
		}
	}
	return nil, status.Error(codes.NotFound, "record not found")
}

func (e tiny) Namespaces(ctx context.Context, _ int) ([]string, error) {
	namespaces := map[string]bool{}
	for _, row := range e.rows(ctx, "", "") {
		namespaces[row.Commit.Run.Namespace] = true
	}
	return slices.Sorted(maps.Keys(namespaces)), nil
}
