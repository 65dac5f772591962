// Package engine answers the reads of the query API from an index.
//
// A filter is evaluated up to three times, by the same code (pkg/archive/query/filter): on what a
// group of entries has in common, on the columns of an entry, and on its record. What cannot match
// is dropped as early as possible, so that a page unpacks little besides its own records.
// Everything listed has matched the whole filter.
//
//	engine.go   requests; get.go reads one record
//	records.go  lists of records: merge.go chooses and merges the index's scans, compare.go reads
//	            records and evaluates the filter on them
//	results.go  Results, and lists of them
//	summary.go  summaries: grouping.go and aggregations.go parse what is asked for, counting.go
//	            counts by columns, observing.go by records
//	env.go      the variables of filters
//	token.go    page tokens and orders
package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/filter"
	"github.com/indelible-ci/indelible/pkg/archive/query/tracing"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// DefaultMaxScan is how many records a request may read by default: some seconds of work.
const DefaultMaxScan = 300_000

// Options say what an engine reads.
type Options struct {
	Index index.Index
	// Store is the bucket, which has the events.
	Store store.Store
	// Cluster is the cluster whose runs are served.
	Cluster string
	// MaxScan bounds the records that a request reads; 0 is DefaultMaxScan.
	MaxScan int
}

// Engine implements query.Engine.
type Engine struct {
	Options
}

var _ query.Engine = (*Engine)(nil)

// New returns an engine.
func New(o Options) *Engine {
	if o.MaxScan == 0 {
		o.MaxScan = DefaultMaxScan
	}
	return &Engine{o}
}

// reading is one request.
type reading struct {
	*Engine
	index.Reader
	groups []index.Group
	// looked counts the records read.
	looked int
}

func (e *Engine) begin(ctx context.Context) (*reading, error) {
	reader, err := e.Index.Reader(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	reader = tracing.Reader(reader)
	groups, err := reader.Groups(ctx, e.Cluster)
	if err != nil {
		return nil, unavailable(err)
	}
	return &reading{Engine: e, Reader: reader, groups: groups}, nil
}

var errIncomplete = errors.New("the index is incomplete: it does not have all runs yet")

// finish returns an error if the index may lack runs. It is called last, so that an index emptied
// during the request is noticed.
func (r *reading) finish(ctx context.Context) error {
	complete, err := r.Complete(ctx, r.Cluster)
	if err == nil && !complete {
		err = errIncomplete
	}
	return unavailable(err)
}

// unavailable returns the status for an error of the index or the bucket. The status of a cancelled
// request says so.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	if _, is := status.FromError(err); is {
		return err
	}
	switch {
	case errors.Is(err, context.Canceled):
		return status.FromContextError(context.Canceled).Err()
	case errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(context.DeadlineExceeded).Err()
	}
	return status.Error(codes.Unavailable, err.Error())
}

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

func notFound(what, name string) error {
	return status.Errorf(codes.NotFound, "%s %s not found", what, name)
}

// parse parses a filter.
func parse(kind filter.Kind, text string) (*filter.Filter, error) {
	f, err := filter.Parse(kind, text)
	if errors.Is(err, filter.ErrInvalid) {
		return nil, invalid("%v", err)
	}
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return f, nil
}

// inScope returns the groups that a list may read.
func (r *reading) inScope(q *query.List) []index.Group {
	if q.Parent == "-" && q.Namespaces == nil {
		return r.groups
	}
	var groups []index.Group
	for _, g := range r.groups {
		if (q.Parent == "-" || g.Namespace == q.Parent) && (q.Namespaces == nil ||
			slices.Contains(q.Namespaces, g.Namespace)) {
			groups = append(groups, g)
		}
	}
	return groups
}

// tooMuch is the error of a filter that reads too many records.
func (r *reading) tooMuch() error {
	return status.Errorf(codes.ResourceExhausted,
		"the filter had to be compared with more than %d records: confine the list to a namespace, a data_type, a label or a time",
		r.MaxScan)
}

// Namespaces implements query.Engine.
func (e *Engine) Namespaces(ctx context.Context, limit int) ([]string, error) {
	r, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, g := range r.groups {
		all = append(all, g.Namespace)
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) > limit {
		return nil, status.Errorf(codes.ResourceExhausted, "there are more than %d namespaces: name one", limit)
	}
	return all, r.finish(ctx)
}

// Children implements query.Engine.
func (e *Engine) Children(ctx context.Context, of *manifest.Commit) ([]*manifest.Commit, error) {
	var children []*manifest.Commit
	q := index.Query{Cluster: e.Cluster, Namespace: of.Run.Namespace, Parent: of.Run.UID, Kind: "TaskRun"}
	for row, err := range e.Index.Find(ctx, q) {
		if err != nil {
			return nil, unavailable(fmt.Errorf("find the TaskRuns of PipelineRun %s: %w", of.Run.UID, err))
		}
		children = append(children, row.Commit)
	}
	slices.Reverse(children)
	return children, nil
}
