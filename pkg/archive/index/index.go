// Package index finds archived runs without reading the bucket. It has a row for each commit, with
// typed columns to list by, and in another table the run's record, compressed, so that a page of
// fifty runs needs no read of the bucket.
//
// The index is a cache of the bucket (docs/design.md, decision D9): every row comes from an object
// there, may be lost at any time, and is restored by Sync. So no decision rests on a row alone: a
// deletion, for example, reads the commit first.
//
// What it offers:
//
//	index.go    Index, for whoever writes or lists runs; later.go opens it when the database answers
//	reader.go   Reader, for the query API: entry.go, groups.go and results.go are what it returns
//	sync.go     Sync and Rebuild, from the bucket: syncruns.go, syncobjects.go
//
// Reading:
//
//	find.go     runs and keys, for Index
//	lists.go    pages of entries, merged from streams; liststatement.go is their SQL
//	resultlists.go, count.go  the same for Results and counts
//
// Writing:
//
//	database.go     both databases: dialect.go, sqlite.go, postgres.go
//	writer.go       groups concurrent changes in transactions; put.go and delete.go are for runs
//	objectput.go    objects of tools; shadow.go hides those whose name an archived run has
//	hot.go          what of a record is in columns: head.go, labels.go, parents.go, spec.go
//	rollup.go, resultrow.go  counts kept for summaries and Results; check.go recounts them
//	schema.go       the tables; migrate.go creates and updates them
package index

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
)

// ErrNotFound is the error for a run that is not in the index.
var ErrNotFound = errors.New("the run is not in the index")

// ErrRefused is the error of a row or object that cannot be in the index for what it is. The same
// would be refused again.
var ErrRefused = errors.New("the index cannot hold it")

// Row is one archived run.
type Row struct {
	// Commit is bare when it comes from an index, which does not store what is inline in the
	// bucket.
	Commit *manifest.Commit
	// Record is the run as it was archived, in JSON. Lists have it only if asked.
	Record []byte
}

// Index is a database of archived runs. Methods may be called concurrently, and several processes
// may have the same database open.
type Index interface {
	// Put adds rows, all or none, and replaces rows with the same cluster and UID. When it returns,
	// all readers see them. The error is ErrRefused if one of them cannot be in the index.
	Put(ctx context.Context, rows ...Row) error
	// Get returns the row of a run with its record, or ErrNotFound.
	Get(ctx context.Context, cluster, uid string) (Row, error)
	// Delete removes rows. Missing rows are no error.
	Delete(ctx context.Context, cluster string, uids ...string) error
	// Find yields the rows that match a query, those created last first, then by UID. It stops
	// after yielding an error.
	Find(ctx context.Context, q Query) iter.Seq2[Row, error]
	// Keys yields the keys of a cluster's commits after a given key, in the bucket's order: by
	// bytes.
	Keys(ctx context.Context, cluster, after string) iter.Seq2[string, error]
	// Complete says whether the index has had all runs of a cluster, as Sync recorded by
	// SetComplete. A run that an incomplete index lacks may be archived all the same.
	Complete(ctx context.Context, cluster string) (bool, error)
	SetComplete(ctx context.Context, cluster string, complete bool) error
	// PutObjects stores objects that tools wrote, replacing earlier generations. It keeps later
	// generations, and ignores objects without a Key.
	PutObjects(ctx context.Context, cluster string, objects ...object.Object) error
	// DeleteObjects deletes objects by name, unless a later generation is stored. With a Result it
	// deletes all objects of it with the same or an earlier epoch. Missing objects are no error.
	DeleteObjects(ctx context.Context, cluster string, objects ...object.Object) error
	// Objects yields names, UID, Generation and Key of a cluster's objects, by key in byte order.
	// It stops after yielding an error.
	Objects(ctx context.Context, cluster string) iter.Seq2[object.Object, error]
	// DeleteObjectKeys deletes objects by key. Missing objects are no error.
	DeleteObjectKeys(ctx context.Context, cluster string, keys ...string) error
	// CheckCounts recounts what the index keeps counts of: the runs of Results, and the rollups of
	// summaries. It returns how many counts are wrong, and corrects them if repair is set.
	CheckCounts(ctx context.Context, repair bool) (wrong int, err error)
	// Reader returns what the query API reads.
	Reader(ctx context.Context) (Reader, error)
	Close() error
}

// Query says which rows Find yields. Zero values match all.
type Query struct {
	Cluster, Namespace, Name string
	// Result is a Result's name, without its parent.
	Result string
	// Kind is the run's kind, such as TaskRun.
	Kind string
	// Parent is the UID of the PipelineRun that created the run.
	Parent string
	// Roots matches runs without a PipelineRun in the index that created them, in their namespace.
	// Users can write runs with any owner, so a query by Parent should have a Namespace as well.
	Roots bool
	// ArchivedBefore matches runs committed before that time.
	ArchivedBefore time.Time
	// After continues after a row that was yielded; nil begins with the newest.
	After *layout.Run
	// Limit bounds the number of rows.
	Limit int
	// Records yields the records as well.
	Records bool
}
