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

// Options say what to import.
type Options struct {
	Source  Source
	Store   store.Store
	Cluster layout.Cluster
	// Version is what commits name as their archiver.
	Version string
	Now     func() time.Time
	// From is where to begin, empty for the beginning: what Progress has said.
	From string
	// Compare writes nothing: what is not in the archive, or is other than in the source, is told
	// to Differs.
	Compare bool
	// Progress is told how far it is: all before the position is done. It may be nil.
	Progress func(position string, totals Totals)
	// Differs is told of each Result, record and log that the archive has another content of, or
	// does not have. It may be nil.
	Differs func(name, how string)
}

// Totals count what was found in the source.
type Totals struct {
	Results, Runs, Records, Logs int
	// Stored are those that the archive did not have, There those that it had already, Different
	// those of which it has another content: that stays. Missing are those that it does not have,
	// of a comparison, and logs that the source could not give.
	Stored, There, Different, Missing int
	// Bytes are those of data and logs that were stored.
	Bytes int64
}

// workers is how many Results are imported at a time, and batch after how many progress is told.
const (
	workers = 8
	batch   = 64
)

// Import stores what a source has. An error ends it, and it may begin again where Progress said.
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

// importing is one run of Import. mu is held while totals change, and while Differs is called.
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
			err = i.batch(ctx, some)
			i.Progress(found.Position, i.totals)
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

// outcome is what became of one thing.
type outcome int

const (
	isStored outcome = iota
	isThere
	isDifferent
	isMissing
)

func (i *importing) became(what outcome, name string, bytes int64) {
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

// result imports one with its records: what is about runs is read first, so that it can go into
// their commits.
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

// record imports one that is not about a run: as a commit if it is a finished run.
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

// object stores one, unless it is there.
func (i *importing) object(ctx context.Context, o object.Object) error {
	if len(o.Data) == 0 {
		o.Data = nil
	}
	what, err := i.create(ctx, o)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Name(), err)
	}
	i.became(what, o.Name().String(), int64(len(o.Data)))
	return nil
}

func (i *importing) create(ctx context.Context, o object.Object) (outcome, error) {
	if !i.Compare {
		_, err := i.objects.Create(ctx, o)
		if !errors.Is(err, object.ErrExists) {
			return isStored, err
		}
	}
	there, err := i.objects.Get(ctx, o.Name())
	switch {
	case errors.Is(err, object.ErrNotExist):
		return isMissing, nil
	case err != nil:
		return 0, err
	case there.Type != o.Type || !sameJSON(there.Data, o.Data):
		return isDifferent, nil
	}
	return isThere, nil
}

// about is what a Result's records say about its runs.
type about struct {
	result *pb.Result
	byRun  map[string]*aboutOne
	// committed are the UIDs of runs that are commits.
	committed map[string]bool
	// left are those whose run does not become a commit, or that have names of their own.
	left []*pb.Record
}

// aboutOne is about one run.
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
		a.left = append(a.left, record) // until its run says that it is its
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

// take returns what is about a run. What the archive will give the same name goes into the commit,
// and is not left.
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

// eventListOf is the name that Tekton Results gives a list of events: by the Result's UID, where
// ours goes by its name.
func eventListOf(resultUID, uid string) string { return run.EventListID(resultUID, uid) }

// aboutObject imports a record about a run as an object, and a log's content if it is in no commit.
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
