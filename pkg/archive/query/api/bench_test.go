package api

import (
	"net/http"
	"testing"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/metadata"

	"github.com/indelible-ci/indelible/pkg/archive/query"
)

// BenchmarkGetRecord gets one record, from the engine and through the API with cached reviews: the
// difference is the cost of the API.
func BenchmarkGetRecord(b *testing.B) {
	r := newFullRig(b)
	name := &pb.GetRecordRequest{Name: failed.record()}
	ctx := metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer "+member)
	get := func() error { return second(r.Results.GetRecord(ctx, name)) }
	r.must(get())
	b.Run("engine", func(b *testing.B) {
		e := r.server.Engine
		for b.Loop() {
			if _, err := e.GetRecord(b.Context(), "team", failed.uid, failed.uid); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("gRPC", func(b *testing.B) {
		for b.Loop() {
			if err := get(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("gRPC, many callers", func(b *testing.B) {
		b.SetParallelism(8)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if err := get(); err != nil {
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rpc/s")
	})
	b.Run("REST", func(b *testing.B) {
		for b.Loop() {
			if code, text, _ := r.REST(member, http.MethodGet, prefix+failed.record(), ""); code != http.StatusOK {
				b.Fatal(code, text)
			}
		}
	})
}

// BenchmarkListRecords lists fifty runs with their data.
func BenchmarkListRecords(b *testing.B) {
	r := newRig(b)
	for i := range 200 {
		r.add(made{kind: "TaskRun", namespace: "team", name: "run", uid: uid(1000 + i), created: i, status: "True",
			reason: "Succeeded"})
	}
	ctx := metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer "+member)
	list := &pb.ListRecordsRequest{Parent: "team/results/-", Filter: "data_type == TASK_RUN",
		OrderBy: "create_time desc"}
	b.Run("engine", func(b *testing.B) {
		for b.Loop() {
			q := query.List{Namespaces: []string{"team"}, Parent: "team", Result: "-", Filter: list.GetFilter(),
				OrderBy: list.GetOrderBy()}
			if _, err := r.server.Engine.ListRecords(b.Context(), q); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("gRPC", func(b *testing.B) {
		for b.Loop() {
			if page, err := r.Results.ListRecords(ctx, list); err != nil || len(page.GetRecords()) != 50 {
				b.Fatal(page, err)
			}
		}
	})
}
