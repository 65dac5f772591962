package writer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/object"
)

const aResult = "the Result"

// split splits a valid name: PARENT/results/RESULT[/records/ID].
func split(name string) object.Name {
	n := object.Name{Kind: object.Result}
	segments := strings.Split(name, "/")
	if len(segments) >= 3 {
		n.Parent, n.Result = segments[0], segments[2]
	}
	if len(segments) >= 5 {
		n.Kind, n.ID = object.Record, segments[4]
	}
	return n
}

// CreateResult implements query.Writer.
func (w *Writer) CreateResult(ctx context.Context, r *pb.Result) (*pb.Result, error) {
	name := split(r.GetName())
	_, err := w.Engine.GetResult(ctx, name.Parent, name.Result)
	if err == nil {
		return nil, status.Error(codes.AlreadyExists, "the Result exists already")
	}
	if status.Code(err) != codes.NotFound {
		return nil, err
	}
	o, err := resultObject(r)
	if err == nil {
		o, err = w.create(ctx, o)
	}
	if err != nil {
		return nil, fail(ctx, aResult, err)
	}
	return resultOf(&o, r), w.written(ctx, o)
}

// resultObject returns the object that stores a Result.
func resultObject(r *pb.Result) (object.Object, error) {
	name := split(r.GetName())
	data, err := protojson.Marshal(&pb.Result{Annotations: r.GetAnnotations(), Summary: r.GetSummary()})
	if err != nil {
		return object.Object{}, fmt.Errorf("%w: %w", object.ErrInvalid, err)
	}
	return object.Object{Kind: object.Result, Parent: name.Parent, Result: name.Result, Data: data}, nil
}

// resultOf returns a stored Result, with its content from of.
func resultOf(o *object.Object, of *pb.Result) *pb.Result {
	created, updated := timestamppb.New(o.Created), timestamppb.New(o.Updated)
	return &pb.Result{
		Name: of.GetName(), Uid: o.UID, CreateTime: created, UpdateTime: updated,
		Id: o.UID, CreatedTime: created, UpdatedTime: updated, //nolint:staticcheck // older clients read these
		Annotations: of.GetAnnotations(), Summary: of.GetSummary(), Etag: o.ETag(),
	}
}

// UpdateResult implements query.Writer.
func (w *Writer) UpdateResult(ctx context.Context, r *pb.Result, etag string) (*pb.Result, error) {
	next, err := resultObject(r)
	if err != nil {
		return nil, fail(ctx, aResult, err)
	}
	for range tries {
		written, err := w.updateResult(ctx, next, etag)
		switch {
		case (errors.Is(err, object.ErrConflict) || errors.Is(err, object.ErrExists)) && etag == "":
			continue
		case errors.Is(err, object.ErrExists): // it has changed since it was read
			err = errEtag
		}
		if err != nil {
			return nil, fail(ctx, aResult, err)
		}
		return resultOf(&written, r), w.written(ctx, written)
	}
	return nil, errBusy
}

// updateResult writes the next generation of a tool's Result, or the first for a Result of archived
// runs.
func (w *Writer) updateResult(ctx context.Context, next object.Object, etag string) (object.Object, error) {
	there, err := w.Objects.Get(ctx, next.Name())
	if err == nil {
		if etag != "" && etag != there.ETag() {
			return object.Object{}, errEtag
		}
		next.UID, next.Generation = there.UID, there.Generation
		return w.Objects.Update(ctx, next)
	}
	if !errors.Is(err, object.ErrNotExist) {
		return object.Object{}, err
	}
	made, err := w.Engine.GetResult(ctx, next.Parent, next.Result)
	switch {
	case err != nil:
		return object.Object{}, err
	case etag != "" && etag != made.GetEtag():
		return object.Object{}, errEtag
	}
	next.UID, next.Created = made.GetUid(), made.GetCreateTime().AsTime()
	next.Updated = time.Now()
	return w.Objects.Create(ctx, next)
}

// DeleteResult implements query.Writer.
func (w *Writer) DeleteResult(ctx context.Context, parent, result string) error {
	// An incomplete index may lack archived runs of the Result.
	complete, err := w.Index.Complete(ctx, w.Cluster)
	if err == nil && !complete {
		err = errors.New("the index is not complete")
	}
	if err != nil {
		return fail(ctx, aResult, err)
	}
	for _, err := range w.Index.Find(ctx, index.Query{Cluster: w.Cluster, Namespace: parent, Result: result,
		Limit: 1}) {
		if err != nil {
			return fail(ctx, aResult, err)
		}
		return errArchived
	}
	return w.delete(ctx, aResult, object.Name{Kind: object.Result, Parent: parent, Result: result})
}
