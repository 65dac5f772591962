// Package writer stores what tools write through the API: first in the bucket, verified, then in
// the index. It implements query.Writer with the second class of objects (pkg/archive/object).
//
// Archived runs form Results and records by themselves, which tools cannot overwrite or delete;
// retention does. But tools can set annotations and summary of such a Result, and replace or hide
// logs: these objects take precedence over the commits.
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

// Writer is a query.Writer and the server's Overlays.
type Writer struct {
	// Cluster is the objects' cluster, in the index and in the bucket.
	Cluster string
	Objects *object.Objects
	Index   Index
	// Engine finds archived runs.
	Engine query.Engine
}

// Index is what a Writer needs of an index.Index.
type Index interface {
	query.ObjectIndex
	Find(ctx context.Context, q index.Query) iter.Seq2[index.Row, error]
	Complete(ctx context.Context, cluster string) (bool, error)
}

var (
	_ query.Writer    = (*Writer)(nil)
	_ server.Overlays = (*Writer)(nil)
)

// tries is how often a change without an etag is attempted if other writers are faster.
const tries = 5

// Errors that callers handle, as in Tekton Results.
var (
	errEtag     = status.Error(codes.FailedPrecondition, "the etag mismatches")
	errBusy     = status.Error(codes.Aborted, "other writers change it all the time: try again")
	errArchived = status.Error(codes.FailedPrecondition,
		"it belongs to an archived run, which is immutable: retention deletes it")
)

// fail returns an error with a code for the caller, and the cause for the log.
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
		return status.Error(codes.FailedPrecondition, "the Result is on hold: nothing in it can be deleted")
	case errors.Is(err, object.ErrInvalid):
		return status.Error(codes.InvalidArgument,
			what+" cannot be stored: its name or its data is too long, or no JSON")
	}
	return &failure{what, err}
}

// failure has the cause for the log, and a status for the caller.
type failure struct {
	what string
	err  error
}

func (f *failure) Error() string { return fmt.Sprintf("write %s: %v", f.what, f.err) }

func (f *failure) Unwrap() error { return f.err }

// GRPCStatus returns what the caller sees.
func (f *failure) GRPCStatus() *status.Status {
	return status.New(codes.Unavailable, f.what+" could not be written now: try again")
}

// written puts stored objects into the index. If that fails they stay stored, and the archiver's
// next SyncObjects adds them; the caller gets an error because lists do not have them yet.
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

// archived returns the commit of the run that a record's or log's name belongs to, nil if there is
// none.
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
