// Package query is what the query API is made of: Engine answers reads from the index, Writer stores what tools write, and the packages
// beside it serve them as tekton.results.v1alpha2.
package query

import (
	"context"
	"io"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
)

// Engine answers reads from the index. It knows nothing of who asks. Errors are gRPC status errors with Tekton Results' codes; whatever
// concerns the index itself is Unavailable, never an empty answer.
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
	// Commit returns the commit, which may be bare, of the archived run that a record's or log's name is about, or NotFound.
	Commit(ctx context.Context, parent, result, record string) (*manifest.Commit, error)
	// Children returns the commits, which may be bare, of the TaskRuns that a PipelineRun of the archive made, first created first.
	Children(ctx context.Context, of *manifest.Commit) ([]*manifest.Commit, error)
	// Namespaces returns the namespaces that anything in the index is of, sorted: those that a list over all of them is reviewed for. More
	// than limit are an error, ResourceExhausted.
	Namespaces(ctx context.Context, limit int) ([]string, error)
}

// List says what a list is of.
type List struct {
	// Namespaces are those that the list is confined to, already authorized; nil is all, for who may list everywhere.
	Namespaces []string
	// Parent is a namespace, or "-" for any.
	Parent string
	// Result is the name of a Result, "-" or empty for any. Lists of Results leave it empty.
	Result string
	// Filter is CEL, OrderBy a field with asc or desc, PageToken what the page before gave: as the client sent them.
	Filter, OrderBy, PageToken string
	// PageSize is what the client sent; 0 is the default.
	PageSize int32
	// Metadata says that data need not be read: the answer leaves it out.
	Metadata bool
}

// Page is one page of a list.
type Page[T any] struct {
	Items []T
	// NextPageToken continues behind the last item; empty if there is none.
	NextPageToken string
}

// Summary says what to aggregate.
type Summary struct {
	List
	// Summary are the aggregations and GroupBy the group, as the client sent them.
	Summary, GroupBy string
}

// Writer stores what tools write: in the bucket first, verified, then in the index. Errors are gRPC status errors: AlreadyExists, NotFound,
// FailedPrecondition for another etag or what is archived and immutable.
type Writer interface {
	CreateResult(ctx context.Context, result *pb.Result) (*pb.Result, error)
	// UpdateResult replaces annotations and summary. An empty etag matches any.
	UpdateResult(ctx context.Context, result *pb.Result, etag string) (*pb.Result, error)
	// DeleteResult deletes the Result's records as well.
	DeleteResult(ctx context.Context, parent, result string) error
	CreateRecord(ctx context.Context, record *pb.Record) (*pb.Record, error)
	// UpdateRecord replaces the data. An empty etag matches any.
	UpdateRecord(ctx context.Context, record *pb.Record, etag string) (*pb.Record, error)
	DeleteRecord(ctx context.Context, parent, result, record string) error
	// UpdateLog replaces a log's content with all of content, and returns its size in bytes.
	UpdateLog(ctx context.Context, parent, result, log string, content io.Reader) (int64, error)
	DeleteLog(ctx context.Context, parent, result, log string) error
}

// ObjectIndex is what a Writer needs of an index: index.Index has it. Writers of several processes may call it late and out of order, so
// that generations decide.
type ObjectIndex interface {
	// PutObjects puts objects of a cluster, each in the place of an earlier generation of its name. A later one that is there stays.
	PutObjects(ctx context.Context, cluster string, objects ...object.Object) error
	// DeleteObjects deletes what has the names of objects, and no later generation than they; with a Result all that is under it and is of
	// the same epoch or an earlier one (layout.ObjectKey). That there is nothing is no error.
	DeleteObjects(ctx context.Context, cluster string, objects ...object.Object) error
}
