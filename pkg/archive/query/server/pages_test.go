package server

import (
	"context"
	"testing"
	"time"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/query"
)

// slowEngine is slow with lists of the namespace slow, even if nobody waits for them any more.
type slowEngine struct {
	query.Engine
	began, end chan struct{}
}

func (e slowEngine) wait(q query.List) {
	if q.Parent == "slow" {
		e.began <- struct{}{}
		<-e.end
	}
}

func (e slowEngine) ListResults(_ context.Context, q query.List) (page query.Page[*pb.Result], err error) {
	e.wait(q)
	return page, nil
}

func (e slowEngine) ListRecords(_ context.Context, q query.List) (page query.Page[*pb.Record], err error) {
	e.wait(q)
	return page, nil
}

func (e slowEngine) ListLogs(_ context.Context, q query.List) (page query.Page[*pb.Record], err error) {
	e.wait(q)
	return page, nil
}

func (e slowEngine) Summarize(_ context.Context, q query.Summary) (*pb.RecordListSummary, error) {
	e.wait(q.List)
	return &pb.RecordListSummary{}, nil
}

// listKinds are all requests that are lists.
var listKinds = map[string]func(r *rig, token, namespace string) error{
	"ListResults": func(r *rig, token, namespace string) error {
		_, err := r.Results.ListResults(r.As(token), &pb.ListResultsRequest{Parent: namespace})
		return err
	},
	"ListRecords": func(r *rig, token, namespace string) error {
		_, err := r.Results.ListRecords(r.As(token), &pb.ListRecordsRequest{Parent: namespace + "/results/-"})
		return err
	},
	"ListLogs": func(r *rig, token, namespace string) error {
		_, err := r.Logs.ListLogs(r.As(token), &pb.ListRecordsRequest{Parent: namespace + "/results/-"})
		return err
	},
	"GetRecordListSummary": func(r *rig, token, namespace string) error {
		_, err := r.Results.GetRecordListSummary(r.As(token),
			&pb.RecordListSummaryRequest{Parent: namespace + "/results/-"})
		return err
	},
}

// A caller's slow lists of any kind delay its own next ones, and no one else's.
func TestListsOfOneCaller(t *testing.T) {
	for kind, list := range listKinds {
		t.Run(kind, func(t *testing.T) {
			e := slowEngine{began: make(chan struct{}, 100), end: make(chan struct{})}
			r := newRig(t, func(o *Options) { o.Engine, o.Timeout = e, 2*time.Second })
			const asked = 10
			answers := make(chan error, asked)
			for range asked {
				go func() { answers <- list(r, adminToken, "slow") }()
			}
			for range asked - maxListsOfOne {
				if err := <-answers; status.Code(err) != codes.ResourceExhausted {
					t.Errorf("got %v", err)
				}
			}
			if n := len(e.began); n != maxListsOfOne {
				t.Errorf("%d lists of one caller are read at a time", n)
			}
			for other, list := range listKinds {
				if err := list(r, teamToken, "team"); err != nil {
					t.Errorf("another caller's %s: %v", other, err)
				}
			}
			close(e.end)
			for range maxListsOfOne {
				if err := <-answers; err != nil {
					t.Errorf("a list that was let in: %v", err)
				}
			}
			if err := list(r, adminToken, "slow"); err != nil {
				t.Errorf("later: %v", err)
			}
			gate := r.server.lists
			gate.mu.Lock()
			defer gate.mu.Unlock()
			if len(gate.of) > 0 || len(gate.all) > 0 {
				t.Errorf("%d callers and %d lists stay", len(gate.of), len(gate.all))
			}
		})
	}
}
