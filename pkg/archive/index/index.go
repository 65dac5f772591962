// Package index finds archived runs without reading the bucket: a row for each commit, with typed columns to list by,
// and in a table of its own the run's record, compressed, so that a page of fifty costs no read of the bucket.
//
// The object store is the truth and the index a cache of it (DESIGN, D9): whatever is in it came from a commit, all of it may be lost
// at any time, and Sync makes it again. So nothing is decided by a row alone; whoever deletes a run reads its commit.
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

// ErrNotFound is the answer for a run that the index does not have.
var ErrNotFound = errors.New("the run is not in the index")

// Row is one archived run.
type Row struct {
	// Commit is bare when it comes from an index: what is inline in the bucket is not there twice.
	Commit *manifest.Commit
	// Record is the run as it was archived, JSON. Lists that do not ask for it leave it empty.
	Record []byte
}

// Index is a database of archived runs. Methods may be called concurrently, and several processes may have one open on the
// same database.
type Index interface {
	// Put adds rows, all or none, and replaces rows of the same cluster and UID. When it returns, every reader sees them.
	Put(ctx context.Context, rows ...Row) error
	// Get returns the row of a run with its record, or ErrNotFound.
	Get(ctx context.Context, cluster, uid string) (Row, error)
	// Delete removes rows; that there is none is no error.
	Delete(ctx context.Context, cluster string, uids ...string) error
	// Find yields the rows that a query matches, newest creation first, then by UID. An error ends it, and is the last that is
	// yielded.
	Find(ctx context.Context, q Query) iter.Seq2[Row, error]
	// Keys yields the keys of all commits of a cluster that come after the key after, in byte order, as the bucket lists them.
	Keys(ctx context.Context, cluster, after string) iter.Seq2[string, error]
	// Complete says whether the index has had all of a cluster's runs, by SetComplete: Sync calls that. One that is being made has some
	// of them, and that a run is not in it says nothing.
	Complete(ctx context.Context, cluster string) (bool, error)
	SetComplete(ctx context.Context, cluster string, complete bool) error
	// PutObjects puts what tools wrote in a cluster, each in the place of an earlier generation of its name. A later one that is there stays. An
	// object without a Key is none.
	PutObjects(ctx context.Context, cluster string, objects ...object.Object) error
	// DeleteObjects deletes what has the names of objects, and no later generation than they; with a Result all that is under it and
	// is of the same epoch or an earlier one. That there is nothing is no error.
	DeleteObjects(ctx context.Context, cluster string, objects ...object.Object) error
	// Objects yields names, UID, Generation and Key of all objects of a cluster, by their keys in byte order. An error is the last that is yielded.
	Objects(ctx context.Context, cluster string) iter.Seq2[object.Object, error]
	// DeleteObjectKeys deletes objects by their keys; that there is none is no error.
	DeleteObjectKeys(ctx context.Context, cluster string, keys ...string) error
	// CheckCounts counts anew what the index counts as it goes: how many runs Results have, and the rollups that summaries are made of. It returns
	// how many counts are wrong, as of a moment, and makes them right if that is asked for.
	CheckCounts(ctx context.Context, repair bool) (wrong int, err error)
	// Reader is for the query API.
	Reader(ctx context.Context) (Reader, error)
	Close() error
}

// Query says which rows Find yields. What is zero matches all.
type Query struct {
	Cluster, Namespace, Name string
	// Result is a Result's name, without its parent.
	Result string
	// Kind is the run's, such as TaskRun.
	Kind string
	// Parent is the UID of the PipelineRun that made the run.
	Parent string
	// Roots matches runs that no PipelineRun of the index made: none of their namespace. Anybody may write a run that names any other for
	// its owner, so who asks for what one made should give its namespace as well.
	Roots bool
	// ArchivedBefore matches runs that were committed before that time.
	ArchivedBefore time.Time
	// After continues behind a row that was yielded before; nil begins with the newest.
	After *layout.Run
	// Limit bounds the number of rows.
	Limit int
	// Records asks for the rows' records as well.
	Records bool
}
