package writer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/indelible-ci/indelible/pkg/archive/object"
)

const aRecord = "the record"

// CreateRecord implements query.Writer.
func (w *Writer) CreateRecord(ctx context.Context, r *pb.Record) (*pb.Record, error) {
	name := split(r.GetName())
	if err := w.hasResult(ctx, name.Parent, name.Result); err != nil {
		return nil, err
	}
	c, err := w.archived(ctx, name.Parent, name.Result, name.ID)
	if err != nil {
		return nil, err
	}
	if c != nil {
		return nil, status.Error(codes.AlreadyExists, "the record exists already")
	}
	o, err := w.create(ctx, object.Object{
		Kind: object.Record, Parent: name.Parent, Result: name.Result, ID: name.ID, Type: r.GetData().GetType(),
		Data: r.GetData().GetValue(),
	})
	if err != nil {
		return nil, fail(ctx, aRecord, err)
	}
	return recordOf(&o), w.written(ctx, o)
}

// hasResult fails if there is no such Result, in the bucket or of archived runs. It asks the bucket
// first, as the index may be behind.
func (w *Writer) hasResult(ctx context.Context, parent, result string) error {
	_, err := w.Objects.Get(ctx, object.Name{Kind: object.Result, Parent: parent, Result: result})
	if errors.Is(err, object.ErrNotExist) {
		_, err = w.Engine.GetResult(ctx, parent, result)
		return err
	}
	return fail(ctx, aResult, err)
}

// recordOf returns a record as it was stored.
func recordOf(o *object.Object) *pb.Record {
	created, updated := timestamppb.New(o.Created), timestamppb.New(o.Updated)
	r := &pb.Record{
		Name: o.Parent + "/results/" + o.Result + "/records/" + o.ID, Uid: o.UID, Etag: o.ETag(), CreateTime: created,
		UpdateTime: updated,
		Id:         o.UID, CreatedTime: created, UpdatedTime: updated, //nolint:staticcheck // older clients read these
	}
	if o.Data != nil || o.Type != "" {
		r.Data = &pb.Any{Type: o.Type, Value: o.Data}
	}
	return r
}

// UpdateRecord implements query.Writer. It keeps type or value if the caller leaves them empty,
// like Tekton Results.
func (w *Writer) UpdateRecord(ctx context.Context, r *pb.Record, etag string) (*pb.Record, error) {
	name := split(r.GetName())
	c, err := w.archived(ctx, name.Parent, name.Result, name.ID)
	if err != nil {
		return nil, err
	}
	if c != nil {
		return w.sameRecord(ctx, r, name, etag)
	}
	written, err := w.change(ctx, name, etag, func(o *object.Object) error {
		if kind := r.GetData().GetType(); kind != "" {
			o.Type = kind
		}
		if value := r.GetData().GetValue(); len(value) > 0 {
			o.Data = value
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return recordOf(&written), nil
}

// change writes the next generation of a record. Without an etag it tries again if another writer
// was faster.
func (w *Writer) change(
	ctx context.Context, name object.Name, etag string, make func(*object.Object) error,
) (object.Object, error) {
	for range tries {
		next, err := w.Objects.Get(ctx, name)
		if err == nil && etag != "" && etag != next.ETag() {
			err = errEtag
		}
		if err == nil {
			err = make(&next)
		}
		if err == nil {
			next, err = w.Objects.Update(ctx, next)
		}
		if errors.Is(err, object.ErrConflict) && etag == "" {
			continue
		}
		if err != nil {
			return object.Object{}, fail(ctx, aRecord, err)
		}
		return next, w.written(ctx, next)
	}
	return object.Object{}, errBusy
}

// sameRecord accepts an update of an archived run's record that changes nothing.
func (w *Writer) sameRecord(ctx context.Context, r *pb.Record, name object.Name, etag string) (*pb.Record, error) {
	there, err := w.Engine.GetRecord(ctx, name.Parent, name.Result, name.ID)
	if err != nil {
		return nil, err
	}
	if etag != "" && etag != there.GetEtag() {
		return nil, errEtag
	}
	if data := r.GetData(); data != nil && (data.GetType() != "" && data.GetType() != there.GetData().GetType() ||
		len(data.GetValue()) > 0 && !sameJSON(data.GetValue(), there.GetData().GetValue())) {
		return nil, errArchived
	}
	return there, nil
}

// sameJSON compares JSON texts except for white space.
func sameJSON(one, two []byte) bool {
	var first, second bytes.Buffer
	return json.Compact(&first, one) == nil && json.Compact(&second, two) == nil &&
		bytes.Equal(first.Bytes(), second.Bytes())
}

// DeleteRecord implements query.Writer.
func (w *Writer) DeleteRecord(ctx context.Context, parent, result, record string) error {
	c, err := w.archived(ctx, parent, result, record)
	if err != nil {
		return err
	}
	if c != nil {
		return errArchived
	}
	return w.delete(ctx, aRecord, object.Name{Kind: object.Record, Parent: parent, Result: result, ID: record})
}

// create creates an object. If it exists, it is put into the index: its writer may have been killed
// before that, and this may be a retry.
func (w *Writer) create(ctx context.Context, o object.Object) (object.Object, error) {
	created, err := w.Objects.Create(ctx, o)
	if !errors.Is(err, object.ErrExists) {
		return created, err
	}
	if there, err := w.Objects.Get(ctx, o.Name()); err == nil {
		if err := w.written(ctx, there); err != nil {
			return object.Object{}, err
		}
	}
	return object.Object{}, err
}

// delete deletes an object, and all objects in it if it is a Result.
func (w *Writer) delete(ctx context.Context, what string, name object.Name) error {
	there, err := w.Objects.Get(ctx, name)
	if err == nil {
		err = w.Objects.Delete(ctx, name, 0)
	}
	if errors.Is(err, object.ErrNotExist) {
		if err := w.forget(ctx, name); err != nil {
			return err
		}
	}
	if err != nil {
		return fail(ctx, what, err)
	}
	return w.gone(ctx, there)
}

// forget deletes the row of an object that is not in the bucket: an earlier delete may have failed
// after that.
func (w *Writer) forget(ctx context.Context, name object.Name) error {
	var indexed interface{ GetEtag() string }
	var err error
	switch name.Kind {
	case object.Record:
		indexed, err = w.Engine.GetRecord(ctx, name.Parent, name.Result, name.ID)
	case object.Result:
		indexed, err = w.Engine.GetResult(ctx, name.Parent, name.Result)
	default: // logs are looked up in the bucket
		return nil
	}
	if status.Code(err) == codes.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	number, _, _ := strings.Cut(indexed.GetEtag(), "-") // the format of object.Object.ETag
	generation, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return nil // not an object: runs have other etags
	}
	return w.gone(ctx, object.Object{
		Kind: name.Kind, Parent: name.Parent, Result: name.Result, ID: name.ID, Generation: generation,
	})
}
