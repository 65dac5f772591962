package migrate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Options of Import.
type Options struct {
	Source  Source
	Store   store.Store
	Cluster layout.Cluster
	// Version is the archiver's version in commits.
	Version string
	Now     func() time.Time
	// From is where to start, as reported by Progress. Empty is the beginning.
	From string
	// Compare writes nothing. What is missing in the archive or different from the source is
	// reported to Differs.
	Compare bool
	// Progress, if not nil, is called with a position up to which everything is imported, empty at
	// the end.
	Progress func(position string, totals Totals)
	// Differs, if not nil, is called for each Result, record and log that the archive does not
	// have, or has with different content.
	Differs func(name, how string)
}

// Totals count what the source has.
type Totals struct {
	Results, Runs, Records, Logs int
	// Stored counts what the archive did not have and has now. There counts what it had already.
	// Different counts what it has with different content, which is kept. Missing counts what a
	// comparison did not find in the archive, and logs that the source could not return.
	Stored, There, Different, Missing int
	// Bytes is the size of data and logs stored.
	Bytes int64
}

// workers is the number of Results that are imported concurrently, batch the number of Results
// between calls of Progress.
const (
	workers = 8
	batch   = 64
)

// Import stores the content of a source in the archive. After an error it can continue where
// Progress reported.
func Import(ctx context.Context, o Options) (Totals, error) {
	if o.Progress == nil {
		o.Progress = func(string, Totals) {}
	}
	if o.Differs == nil {
		o.Differs = func(string, string) {}
	}
	i := &importing{Options: o, objects: object.New(o.Store, o.Cluster, o.Now)}
	err := i.run(ctx)
	return i.totals, err
}

// importing is the state of one call of Import. mu guards totals and calls of Differs.
type importing struct {
	Options
	objects *object.Objects
	mu      sync.Mutex
	totals  Totals
}

func (i *importing) run(ctx context.Context) error {
	var some []Found
	for found, err := range i.Source.Results(ctx, i.From) {
		if err == nil && len(some) == batch {
			if err = i.batch(ctx, some); err == nil {
				i.Progress(found.Position, i.totals)
			}
			some = some[:0]
		}
		if err != nil {
			return err
		}
		some = append(some, found)
	}
	if err := i.batch(ctx, some); err != nil {
		return err
	}
	i.Progress("", i.totals)
	return nil
}

func (i *importing) batch(ctx context.Context, some []Found) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, f := range some {
		group.Go(func() error {
			if err := i.result(ctx, f.Result); err != nil {
				return fmt.Errorf("import %s: %w", f.Result.GetName(), err)
			}
			return nil
		})
	}
	return group.Wait()
}

func (i *importing) count(add func(t *Totals)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	add(&i.totals)
}

// outcome is what was done with an object.
type outcome int

const (
	isStored outcome = iota
	isThere
	isDifferent
	isMissing
)

func (i *importing) report(what outcome, name string, bytes int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch what {
	case isStored:
		i.totals.Stored++
		i.totals.Bytes += bytes
	case isThere:
		i.totals.There++
	case isDifferent:
		i.totals.Different++
		i.Differs(name, "the archive has another content")
	case isMissing:
		i.totals.Missing++
		i.Differs(name, "it is not in the archive")
	}
}

// result imports a Result and its records. Records of logs and events are read first, because they
// go into the commits of their runs.
func (i *importing) result(ctx context.Context, r *pb.Result) error {
	i.count(func(t *Totals) { t.Results++ })
	if err := i.resultItself(ctx, r); err != nil {
		return err
	}
	about := &about{byRun: map[string]*aboutOne{}, committed: map[string]bool{}, result: r}
	for record, err := range i.Source.Records(ctx, r, true) {
		if err != nil {
			return err
		}
		about.add(record)
	}
	for record, err := range i.Source.Records(ctx, r, false) {
		if err == nil {
			err = i.record(ctx, record, about)
		}
		if err != nil {
			return err
		}
	}
	for _, record := range about.left {
		if err := i.aboutObject(ctx, record, about); err != nil {
			return err
		}
	}
	return nil
}

func (i *importing) resultItself(ctx context.Context, r *pb.Result) error {
	name, err := nameOf(r.GetName())
	if err != nil {
		return err
	}
	data, err := protojson.Marshal(&pb.Result{Annotations: r.GetAnnotations(), Summary: r.GetSummary()})
	if err != nil {
		return err
	}
	return i.object(ctx, object.Object{
		Kind: object.Result, Parent: name.Parent, Result: name.Result, UID: r.GetUid(), Data: data,
		Created: timeOf(r.GetCreateTime()), Updated: timeOf(r.GetUpdateTime()),
	})
}

// record imports a record that is not of a log or events: a finished run as a commit, others as
// objects.
func (i *importing) record(ctx context.Context, record *pb.Record, about *about) error {
	name, err := nameOf(record.GetName())
	if err != nil {
		return fmt.Errorf("record %q: %w", record.GetName(), err)
	}
	if r := finishedRun(name, record); r != nil {
		i.count(func(t *Totals) { t.Runs++ })
		return i.commit(ctx, name, r, about)
	}
	i.count(func(t *Totals) { t.Records++ })
	return i.object(ctx, recordObject(name, record))
}

func recordObject(name object.Name, record *pb.Record) object.Object {
	return object.Object{
		Kind: object.Record, Parent: name.Parent, Result: name.Result, ID: name.ID, UID: record.GetUid(),
		Type: record.GetData().GetType(), Data: record.GetData().GetValue(),
		Created: timeOf(record.GetCreateTime()), Updated: timeOf(record.GetUpdateTime()),
	}
}

func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// object stores an object, unless it exists.
func (i *importing) object(ctx context.Context, o object.Object) error {
	if len(o.Data) == 0 {
		o.Data = nil
	}
	what, err := i.create(ctx, o)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Name(), err)
	}
	i.report(what, o.Name().String(), int64(len(o.Data)))
	return nil
}

func (i *importing) create(ctx context.Context, o object.Object) (outcome, error) {
	if !i.Compare {
		_, err := i.objects.Create(ctx, o)
		if !errors.Is(err, object.ErrExists) {
			return isStored, err
		}
	}
	existing, err := i.objects.Get(ctx, o.Name())
	switch {
	case errors.Is(err, object.ErrNotExist):
		return isMissing, nil
	case err != nil:
		return 0, err
	case existing.Type != o.Type || !sameJSON(existing.Data, o.Data):
		return isDifferent, nil
	}
	return isThere, nil
}

// about has the records of a Result that are about its runs: logs and events.
type about struct {
	result *pb.Result
	byRun  map[string]*aboutOne
	// committed has the UIDs of runs that have a commit.
	committed map[string]bool
	// left has the records that do not go into a commit: their run has none, or the archive would
	// give them another name.
	left []*pb.Record
}

// aboutOne has the records about one run.
type aboutOne struct {
	log, events *pb.Record
}

func (a *about) of(uid string) *aboutOne {
	if a.byRun[uid] == nil {
		a.byRun[uid] = &aboutOne{}
	}
	return a.byRun[uid]
}

func (a *about) add(record *pb.Record) {
	if record.GetData().GetType() == eventListType {
		a.left = append(a.left, record) // until its run takes it
		return
	}
	log, err := parseLog(record)
	if err != nil || log.Spec.Resource.UID == "" {
		a.left = append(a.left, record)
		return
	}
	a.of(log.Spec.Resource.UID).log = record
	a.left = append(a.left, record)
}

// take returns the records about a run, which go into its commit. It removes those from left that
// the archive will return with the same name.
func (a *about) take(name object.Name) aboutOne {
	one := *a.of(name.ID)
	kept := a.left[:0]
	for _, record := range a.left {
		n, err := nameOf(record.GetName())
		id := run.EventListID(name.Result, name.ID)
		theirs := eventListOf(a.result.GetUid(), name.ID)
		switch {
		case err != nil:
		case record.GetData().GetType() == eventListType && (n.ID == id || n.ID == theirs):
			one.events = record
			if n.ID == id {
				continue
			}
		case record == one.log && n.ID == run.LogID(name.Result, name.ID):
			continue
		}
		kept = append(kept, record)
	}
	a.left = kept
	return one
}

// eventListOf is the ID of an event list in Tekton Results, which depends on the UID of the Result;
// the archive's depends on its name.
func eventListOf(resultUID, uid string) string { return run.EventListID(resultUID, uid) }

// aboutObject imports a record about a run as an object, and the log's content unless it is in a
// commit.
func (i *importing) aboutObject(ctx context.Context, record *pb.Record, about *about) error {
	name, err := nameOf(record.GetName())
	if err != nil {
		return fmt.Errorf("record %q: %w", record.GetName(), err)
	}
	i.count(func(t *Totals) { t.Records++ })
	if err := i.object(ctx, recordObject(name, record)); err != nil {
		return err
	}
	if record.GetData().GetType() == eventListType {
		return nil
	}
	if log, err := parseLog(record); err == nil && about.committed[log.Spec.Resource.UID] {
		return nil
	}
	name.Kind = object.Log
	return i.log(ctx, name, record)
}
