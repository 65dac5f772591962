package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/object"
)

// brokenIndex rejects objects while it is broken, as if the process were killed between bucket and
// index.
type brokenIndex struct {
	index.Index
	broken atomic.Bool
}

func (b *brokenIndex) PutObjects(ctx context.Context, cluster string, objects ...object.Object) error {
	if b.broken.Load() {
		return errors.New("connection to database.secret lost")
	}
	return b.Index.PutObjects(ctx, cluster, objects...)
}

func (b *brokenIndex) DeleteObjects(ctx context.Context, cluster string, objects ...object.Object) error {
	if b.broken.Load() {
		return errors.New("connection to database.secret lost")
	}
	return b.Index.DeleteObjects(ctx, cluster, objects...)
}

// An object deleted only from the bucket can be read until the caller tries again.
func TestDeletionThatDidNotReachTheIndex(t *testing.T) {
	x := &brokenIndex{}
	r := newFullRig(t, func(o *Options) {
		x.Index = o.Index
		o.Index = x
	})
	const result, record = "team/results/tool", "team/results/tool/records/one"
	r.createResult(result)
	r.createRecord(record, "t", "{}")
	steps := []struct {
		what        string
		remove, get func() error
	}{
		{
			"record",
			func() error {
				return second(r.Results.DeleteRecord(r.As(robot), &pb.DeleteRecordRequest{Name: record}))
			},
			func() error { return second(r.Results.GetRecord(r.As(robot), &pb.GetRecordRequest{Name: record})) },
		},
		{
			"Result",
			func() error {
				return second(r.Results.DeleteResult(r.As(robot), &pb.DeleteResultRequest{Name: result}))
			},
			func() error { return second(r.Results.GetResult(r.As(robot), &pb.GetResultRequest{Name: result})) },
		},
	}
	for _, step := range steps {
		x.broken.Store(true)
		r.wantCode("delete the "+step.what, step.remove(), codes.Unavailable)
		r.wantCode("get the "+step.what+", which asks the index", step.get(), codes.OK)
		x.broken.Store(false)
		r.wantCode("delete the "+step.what+" again", step.remove(), codes.NotFound)
		r.wantCode("get the "+step.what, step.get(), codes.NotFound)
	}
}

// An incomplete index does not know whether a Result has archived runs, so it is not deleted.
func TestResultIsNotDeletedByAnIncompleteIndex(t *testing.T) {
	r := newFullRig(t)
	changed := &pb.Result{Name: resultName(failed), Annotations: map[string]string{"kept": "yes"}}
	r.must(second(r.Results.UpdateResult(r.As(robot), &pb.UpdateResultRequest{Name: changed.Name, Result: changed})))
	remove := func() error {
		return second(r.Results.DeleteResult(r.As(robot), &pb.DeleteResultRequest{Name: changed.Name}))
	}
	r.must(r.index.Delete(r.Context(), "prod", failed.uid))
	r.must(r.index.SetComplete(r.Context(), "prod", false))
	r.wantCode("while it is made", remove(), codes.Unavailable)
}

// An object that is only in the bucket is put into the index by the caller's next attempt, which
// fails because it exists.
func TestWriteThatDidNotReachTheIndex(t *testing.T) {
	x := &brokenIndex{}
	r := newFullRig(t, func(o *Options) {
		x.Index = o.Index
		o.Index = x
	})
	create := func() error {
		return second(r.Results.CreateResult(r.As(robot), &pb.CreateResultRequest{Parent: "team",
			Result: &pb.Result{Name: "team/results/tool"}}))
	}
	get := func() error {
		return second(r.Results.GetResult(r.As(robot), &pb.GetResultRequest{Name: "team/results/tool"}))
	}
	x.broken.Store(true)
	r.wantCode("create", create(), codes.Unavailable)
	r.wantCode("get, which asks the index", get(), codes.NotFound)
	x.broken.Store(false)
	r.wantCode("create again", create(), codes.AlreadyExists)
	r.wantCode("get", get(), codes.OK)
}

// Without a next attempt, daily maintenance adds it to the index.
func TestIndexIsRepaired(t *testing.T) {
	x, o := &brokenIndex{}, Options{}
	r := newFullRig(t, func(options *Options) {
		x.Index, o = options.Index, *options
		options.Index = x
	})
	r.createResult("team/results/old")
	x.broken.Store(true)
	changed := &pb.Result{Name: "team/results/old", Annotations: map[string]string{"a": "changed"}}
	_, err := r.Results.UpdateResult(r.As(robot), &pb.UpdateResultRequest{Name: changed.Name, Result: changed})
	r.wantCode("update", err, codes.Unavailable)
	lost := &pb.CreateResultRequest{Parent: "team", Result: &pb.Result{Name: "team/results/new"}}
	_, err = r.Results.CreateResult(r.As(robot), lost)
	r.wantCode("create", err, codes.Unavailable)
	x.broken.Store(false)
	sync := index.SyncOptions{Store: o.Store, Index: x, Cluster: o.Cluster}
	if _, err := index.SyncObjects(t.Context(), sync); err != nil {
		t.Error(err)
	}
	got, err := r.Results.GetResult(r.As(robot), &pb.GetResultRequest{Name: changed.Name})
	if err != nil || got.GetAnnotations()["a"] != "changed" {
		t.Errorf("the annotations are %v, %v", got.GetAnnotations(), err)
	}
	_, err = r.Results.GetResult(r.As(robot), &pb.GetResultRequest{Name: lost.Result.Name})
	r.wantCode("get what was created", err, codes.OK)
}

// Two replicas of the API create an object once: one attempt succeeds, and both serve it.
func TestTwoReplicas(t *testing.T) {
	one := newFullRig(t)
	other := one.of(t)
	other.serve()
	const parent = "team/results/tool"
	one.createResult(parent)
	for round := range 5 {
		name := fmt.Sprintf("%s/records/r%d", parent, round)
		var made atomic.Int64
		var group sync.WaitGroup
		for _, replica := range []*rig{one, other, one, other} {
			group.Go(func() {
				_, err := replica.Results.CreateRecord(replica.As(robot),
					&pb.CreateRecordRequest{Parent: parent, Record: &pb.Record{Name: name}})
				switch status.Code(err) {
				case codes.OK:
					made.Add(1)
				case codes.AlreadyExists:
				default:
					t.Error(err)
				}
			})
		}
		group.Wait()
		if made.Load() != 1 {
			t.Errorf("%s was created %d times", name, made.Load())
		}
		first, err := one.Results.GetRecord(one.As(robot), &pb.GetRecordRequest{Name: name})
		if err != nil {
			t.Error(err)
		}
		other.wantRecord(name, first)
	}
}
