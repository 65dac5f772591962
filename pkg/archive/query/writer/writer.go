// Package writer stores what tools write through the API: in the bucket first, where it is verified, and then in the index. It is
// query.Writer over the second class of objects (pkg/archive/object).
//
// What archived runs make is there without any tool, and does not change: records of runs, of their logs and events cannot be
// overwritten or deleted, which is retention's to do. Annotations and the summary of their Results can be set, and their logs
// replaced or hidden, by objects that lie over what the commits say.
package writer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/server"
)

// Writer is a query.Writer, and the server's Overlays.
type Writer struct {
	// Cluster is what the objects are of, in the index as in the bucket.
	Cluster string
	Objects *object.Objects
	Index   Index
	// Engine tells what there is of archived runs.
	Engine query.Engine
}

// Index is what a Writer needs of an index: index.Index has it.
type Index interface {
	query.ObjectIndex
	Find(ctx context.Context, q index.Query) iter.Seq2[index.Row, error]
	Complete(ctx context.Context, cluster string) (bool, error)
}

var (
	_ query.Writer    = (*Writer)(nil)
	_ server.Overlays = (*Writer)(nil)
)

// tries is how often a change is made anew that another writer was faster with, where the caller does not say what it changes.
const tries = 5

// Errors that callers act upon, as Tekton Results has them.
var (
	errEtag     = status.Error(codes.FailedPrecondition, "the etag mismatches")
	errBusy     = status.Error(codes.Aborted, "others change it faster than it can be read: try again")
	errArchived = status.Error(codes.FailedPrecondition, "it is of an archived run, which does not change: retention deletes it")
)

// fail gives an error its code, and tells the log what the caller is not told.
func fail(ctx context.Context, what string, err error) error {
	var known interface{ GRPCStatus() *status.Status }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known.GRPCStatus().Err()
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, object.ErrExists):
		return status.Error(codes.AlreadyExists, what+" exists already")
	case errors.Is(err, object.ErrNotExist):
		return status.Error(codes.NotFound, what+" not found")
	case errors.Is(err, object.ErrConflict):
		return errEtag
	case errors.Is(err, object.ErrHeld):
		return status.Error(codes.FailedPrecondition, "a hold is on the Result: nothing of it is deleted")
	case errors.Is(err, object.ErrInvalid):
		return status.Error(codes.InvalidArgument, what+" cannot be stored: its name or its data is too long, or no JSON")
	}
	return &failure{what, err}
}

// failure is an error whose text is for the server's log.
type failure struct {
	what string
	err  error
}

func (f *failure) Error() string { return fmt.Sprintf("write %s: %v", f.what, f.err) }

func (f *failure) Unwrap() error { return f.err }

// GRPCStatus is what the caller gets.
func (f *failure) GRPCStatus() *status.Status {
	return status.New(codes.Unavailable, f.what+" could not be written now: try again")
}

// written puts objects that are in the bucket into the index. Where that fails they are stored all the same, and the archiver's next look
// at the archive brings them into the index; the caller hears that lists do not show them yet.
func (w *Writer) written(ctx context.Context, objects ...object.Object) error {
	if err := w.Index.PutObjects(context.WithoutCancel(ctx), w.Cluster, objects...); err != nil {
		return fail(ctx, "the index", err)
	}
	return nil
}

func (w *Writer) gone(ctx context.Context, objects ...object.Object) error {
	if err := w.Index.DeleteObjects(context.WithoutCancel(ctx), w.Cluster, objects...); err != nil {
		return fail(ctx, "the index", err)
	}
	return nil
}

// archived returns the commit that a record's or log's name is about, nil if there is none.
func (w *Writer) archived(ctx context.Context, parent, result, id string) (*manifest.Commit, error) {
	c, err := w.Engine.Commit(ctx, parent, result, id)
	if status.Code(err) == codes.NotFound {
		return nil, nil
	}
	return c, err
}

// OpenLog implements server.Overlays.
func (w *Writer) OpenLog(ctx context.Context, parent, result, log string) (io.ReadCloser, error) {
	o, err := w.Objects.Get(ctx, object.Name{Kind: object.Log, Parent: parent, Result: result, ID: log})
	if errors.Is(err, object.ErrNotExist) {
		return nil, server.ErrNoLog
	}
	if err != nil {
		return nil, err
	}
	content, err := object.ContentOf(&o)
	if err == nil && content.Hidden {
		err = server.ErrLogDeleted
	}
	if err != nil {
		return nil, err
	}
	return w.Objects.OpenLog(ctx, o)
}
