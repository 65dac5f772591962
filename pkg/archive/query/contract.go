// Package query has the parts of the query API: Engine answers reads from the index, Writer stores
// what tools write, and the packages beside it serve both as tekton.results.v1alpha2.
package query

import (
	"context"
	"io"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
)

// Engine answers reads from the index. It does no authorization. Errors are gRPC status errors with
// the same codes as Tekton Results; a failing index is Unavailable, never an empty answer.
type Engine interface {
	// GetResult returns a Result, or NotFound.
	GetResult(ctx context.Context, parent, result string) (*pb.Result, error)
	// ListResults returns a page of Results.
	ListResults(ctx context.Context, q List) (Page[*pb.Result], error)
	// GetRecord returns a record of any type, or NotFound.
	GetRecord(ctx context.Context, parent, result, record string) (*pb.Record, error)
	// ListRecords returns a page of records.
	ListRecords(ctx context.Context, q List) (Page[*pb.Record], error)
	// ListLogs returns a page of the records of type Log.
	ListLogs(ctx context.Context, q List) (Page[*pb.Record], error)
	// Summarize aggregates the records that a filter matches.
	Summarize(ctx context.Context, q Summary) (*pb.RecordListSummary, error)
	// Commit returns the commit of the archived run that a record's or log's name belongs to, or
	// NotFound. It may be bare.
	Commit(ctx context.Context, parent, result, record string) (*manifest.Commit, error)
	// Children returns the commits of the TaskRuns that an archived PipelineRun created, in order
	// of creation. They may be bare.
	Children(ctx context.Context, of *manifest.Commit) ([]*manifest.Commit, error)
	// Namespaces returns all namespaces in the index, sorted, which are authorized one by one for a
	// list over all. More than limit are an error, ResourceExhausted.
	Namespaces(ctx context.Context, limit int) ([]string, error)
}

// List says what to list.
type List struct {
	// Namespaces are the only ones to list, already authorized; nil is all, for callers that may
	// list everywhere.
	Namespaces []string
	// Parent is a namespace, or "-" for any.
	Parent string
	// Result is the name of a Result, "-" or empty for any. Lists of Results leave it empty.
	Result string
	// Filter is CEL, OrderBy a field with asc or desc, PageToken from the previous page, all as the
	// client sent them.
	Filter, OrderBy, PageToken string
	// PageSize is what the client sent; 0 is the default.
	PageSize int32
	// Metadata: the answer leaves out data.
	Metadata bool
}

// Page is one page of a list.
type Page[T any] struct {
	Items []T
	// NextPageToken continues after the last item; empty if there are no more.
	NextPageToken string
}

// Summary says what to aggregate.
type Summary struct {
	List
	// Summary are the aggregations and GroupBy the group, as the client sent them.
	Summary, GroupBy string
}

// Writer stores what tools write: first in the bucket, verified, then in the index. Errors are gRPC
// status errors: AlreadyExists, NotFound, and FailedPrecondition if the etag differs or the object
// is archived, which is immutable.
type Writer interface {
	CreateResult(ctx context.Context, result *pb.Result) (*pb.Result, error)
	// UpdateResult replaces annotations and summary. An empty etag matches any.
	UpdateResult(ctx context.Context, result *pb.Result, etag string) (*pb.Result, error)
	// DeleteResult deletes the Result and its records.
	DeleteResult(ctx context.Context, parent, result string) error
	CreateRecord(ctx context.Context, record *pb.Record) (*pb.Record, error)
	// UpdateRecord replaces the data. An empty etag matches any.
	UpdateRecord(ctx context.Context, record *pb.Record, etag string) (*pb.Record, error)
	DeleteRecord(ctx context.Context, parent, result, record string) error
	// UpdateLog replaces a log's content, and returns its size in bytes.
	UpdateLog(ctx context.Context, parent, result, log string, content io.Reader) (int64, error)
	DeleteLog(ctx context.Context, parent, result, log string) error
}

// ObjectIndex is what a Writer needs of an index.Index. Writers of several processes may call it
// late and out of order: generations decide.
type ObjectIndex interface {
	// PutObjects stores objects of a cluster, replacing earlier generations. It keeps later
	// generations.
	PutObjects(ctx context.Context, cluster string, objects ...object.Object) error
	// DeleteObjects deletes objects by name, unless a later generation is stored. With a Result it
	// deletes all objects of it with the same or an earlier epoch (layout.ObjectKey). Missing
	// objects are no error.
	DeleteObjects(ctx context.Context, cluster string, objects ...object.Object) error
}
