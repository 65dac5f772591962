package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/indelible-ci/indelible/pkg/archive/catalogue"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// ExportOptions are options of Export.
type ExportOptions struct {
	Store   store.Store
	Cluster layout.Cluster
	To      *API
	// LogType is LOGS_TYPE of the destination. If it is empty, the destination has no API for logs
	// and none are sent.
	LogType string
	// From is the key of the commit after which to start, as reported by Progress. What tools wrote
	// is exported in any case.
	From string
	// Progress, if not nil, is called with the key up to which all commits are exported.
	Progress func(position string, totals Totals)
	// Damaged, if not nil, is called for what cannot be read and is not exported.
	Damaged func(key string, err error)
}

// Export writes an archive to a Tekton Results: first what tools wrote, because it includes the
// content of their Results, then runs. Existing objects are not changed. After an error it can
// continue where Progress reported.
func Export(ctx context.Context, o ExportOptions) (Totals, error) {
	if o.Progress == nil {
		o.Progress = func(string, Totals) {}
	}
	if o.Damaged == nil {
		o.Damaged = func(string, error) {}
	}
	e := &exporting{ExportOptions: o, objects: object.New(o.Store, o.Cluster, time.Now), logs: map[string]object.Name{}}
	err := e.tools(ctx)
	if err == nil {
		err = e.runs(ctx)
	}
	if err == nil {
		err = e.remainingLogs(ctx)
	}
	return e.totals, err
}

// exporting is the state of one call of Export. mu guards totals.
type exporting struct {
	ExportOptions
	objects *object.Objects
	mu      sync.Mutex
	totals  Totals
	// results has the names of Results that exist.
	results sync.Map
	// logs has the names of the log records that tools wrote (or an import), by namespace and UID
	// of their run, about 200 bytes each. They are exported together with the log.
	logs map[string]object.Name
}

// created counts the result of a create call. It is no error if the object exists.
func (e *exporting) created(err error, add func(*Totals)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch status.Code(err) {
	case codes.OK:
		e.totals.Stored++
	case codes.AlreadyExists:
		e.totals.There++
	default:
		return err
	}
	add(&e.totals)
	return nil
}

// tools exports what tools wrote. A Result precedes the objects under it.
func (e *exporting) tools(ctx context.Context) error {
	for o, err := range e.objects.Changed(ctx, func(string) bool { return false }, e.Damaged) {
		if err == nil {
			err = e.tool(ctx, &o)
		}
		if err != nil {
			return fmt.Errorf("export %s: %w", o.Name(), err)
		}
	}
	return nil
}

func (e *exporting) tool(ctx context.Context, o *object.Object) error {
	switch o.Kind {
	case object.Result:
		r := &pb.Result{}
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(o.Data, r); err != nil {
			e.Damaged(o.Key, err)
			return nil
		}
		r.Name = o.Name().String()
		return e.result(ctx, o.Parent, r)
	case object.Record:
		if err := e.result(ctx, o.Parent, &pb.Result{Name: resultName(o.Parent, o.Result)}); err != nil {
			return err
		}
		if e.ofRun(o) {
			return nil
		}
		return e.record(ctx, o.Name().String(), o.Type, o.Data)
	}
	content, err := e.objects.OpenLog(ctx, *o)
	if errors.Is(err, object.ErrNotExist) {
		return nil // hidden
	}
	if err != nil {
		return err
	}
	// The record of a Log is also written by a tool, and may come later.
	id := object.Name{Kind: object.Record, Parent: o.Parent, Result: o.Result, ID: o.ID}
	record, err := e.objects.Get(ctx, id)
	if err == nil && e.LogType != "" {
		if err = e.record(ctx, id.String(), record.Type, unstored(record.Data)); err == nil {
			err = e.send(ctx, o.Name().String(), content)
		}
	} else if errors.Is(err, object.ErrNotExist) {
		err = nil // the Log replaces that of a run, whose record is exported with the run
	}
	return errors.Join(err, content.Close())
}

// ofRun reports whether a record is that of a run's log, and remembers it. It is exported together
// with the log.
func (e *exporting) ofRun(o *object.Object) bool {
	if o.Type != logType && o.Type != oldLogType {
		return false
	}
	log, err := parseLog(&pb.Record{Data: &pb.Any{Value: o.Data}})
	if err != nil || log.Spec.Resource.UID == "" {
		return false
	}
	e.logs[o.Parent+"/"+log.Spec.Resource.UID] = o.Name()
	return true
}

// remainingLogs exports the remembered records of logs. Those exported with a Log or with a run
// exist already.
func (e *exporting) remainingLogs(ctx context.Context) error {
	for _, name := range e.logs {
		o, err := e.objects.Get(ctx, name)
		if errors.Is(err, object.ErrNotExist) {
			continue
		}
		if err == nil {
			err = e.record(ctx, name.String(), o.Type, unstored(o.Data))
		}
		if err != nil {
			return fmt.Errorf("export %s: %w", name, err)
		}
	}
	return nil
}

// unstored returns the data of a log's record without its status, which says where the log is
// stored.
func unstored(data []byte) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil {
		return data
	}
	delete(fields, "status")
	text, err := json.Marshal(fields)
	if err != nil {
		return data
	}
	return text
}

func resultName(parent, result string) string { return parent + "/results/" + result }

// result creates a Result, once.
func (e *exporting) result(ctx context.Context, parent string, r *pb.Result) error {
	if _, exists := e.results.Load(r.GetName()); exists {
		return nil
	}
	_, err := e.To.results.CreateResult(ctx, &pb.CreateResultRequest{Parent: parent, Result: r})
	if err = e.created(err, func(t *Totals) { t.Results++ }); err != nil {
		return fmt.Errorf("create %s: %w", r.GetName(), err)
	}
	e.results.Store(r.GetName(), true)
	return nil
}

func (e *exporting) record(ctx context.Context, name, of string, data []byte) error {
	parent, _, _ := strings.Cut(name, "/records/")
	_, err := e.To.results.CreateRecord(ctx, &pb.CreateRecordRequest{
		Parent: parent, Record: &pb.Record{Name: name, Data: &pb.Any{Type: of, Value: data}},
	})
	if err = e.created(err, func(t *Totals) { t.Records++ }); err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	return nil
}

// runs exports commits in batches, in the order of their keys.
func (e *exporting) runs(ctx context.Context) error {
	var some []string
	for info, err := range e.Store.List(ctx, e.Cluster.Commits(), e.From) {
		if err != nil {
			return err
		}
		if some = append(some, info.Key); len(some) == batch {
			if err := e.some(ctx, some); err != nil {
				return err
			}
			some = some[:0]
		}
	}
	return e.some(ctx, some)
}

// some exports a batch of runs. It creates their Results one after the other, so that the summary
// of a Result is about its first run, which created the others.
func (e *exporting) some(ctx context.Context, keys []string) error {
	entries := make([]catalogue.Entry, len(keys))
	err := each(ctx, keys, func(ctx context.Context, i int) error {
		entry, err := catalogue.Load(ctx, e.Store, keys[i])
		if catalogue.Unreadable(err) {
			e.Damaged(keys[i], err)
			return nil
		}
		entries[i] = entry
		return err
	})
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if c := entry.Commit; c != nil {
			parent := resultName(c.Run.Namespace, c.Run.Result)
			r := &pb.Result{Name: parent, Annotations: c.Run.ResultAnnotations, Summary: summaryOf(c, parent)}
			if err := e.result(ctx, c.Run.Namespace, r); err != nil {
				return err
			}
		}
	}
	err = each(ctx, keys, func(ctx context.Context, i int) error {
		if entries[i].Commit == nil {
			return nil
		}
		return e.commit(ctx, entries[i].Commit, entries[i].Record)
	})
	if err == nil && len(keys) > 0 {
		e.Progress(keys[len(keys)-1], e.totals)
	}
	return err
}

// each calls do for each key, several at a time.
func each(ctx context.Context, keys []string, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i, key := range keys {
		group.Go(func() error {
			if err := do(ctx, i); err != nil {
				return fmt.Errorf("export %s: %w", key, err)
			}
			return nil
		})
	}
	return group.Wait()
}

func dataType(c *manifest.Commit) string { return c.Run.APIVersion + "." + c.Run.Kind }

func (e *exporting) commit(ctx context.Context, c *manifest.Commit, record []byte) error {
	parent := resultName(c.Run.Namespace, c.Run.Result)
	if err := e.record(ctx, parent+"/records/"+c.Run.UID, dataType(c), record); err != nil {
		return err
	}
	e.mu.Lock()
	e.totals.Runs++
	e.mu.Unlock()
	for i := range c.Parts {
		if p := &c.Parts[i]; p.Type == manifest.Events && p.State != manifest.Missing {
			content, err := read(ctx, e.Store, p)
			if err == nil {
				err = e.record(ctx, parent+"/records/"+run.EventListID(c.Run.Result, c.Run.UID), eventListType, content)
			}
			if err != nil {
				return err
			}
		}
	}
	return e.log(ctx, c, parent)
}

func read(ctx context.Context, from store.Store, p *manifest.Part) ([]byte, error) {
	content, err := manifest.Open(ctx, from, p)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(content)
	return data, errors.Join(err, content.Close())
}

func summaryOf(c *manifest.Commit, parent string) *pb.RecordSummary {
	s := &pb.RecordSummary{
		Record: parent + "/records/" + c.Run.UID, Type: dataType(c),
		StartTime: timestamppb.New(c.Run.Created), Annotations: c.Run.SummaryAnnotations,
	}
	if c.Run.Completed != nil {
		s.EndTime = timestamppb.New(*c.Run.Completed)
	}
	switch manifest.Outcome(c.Run.Status, c.Run.Reason) {
	case manifest.Succeeded:
		s.Status = pb.RecordSummary_SUCCESS
	case manifest.Failed:
		s.Status = pb.RecordSummary_FAILURE
		if strings.HasSuffix(c.Run.Reason, "Timeout") {
			s.Status = pb.RecordSummary_TIMEOUT
		}
	case manifest.Cancelled:
		s.Status = pb.RecordSummary_CANCELLED
	}
	return s
}

// log exports the logs of a run as one log, with a line before the log of each container.
func (e *exporting) log(ctx context.Context, c *manifest.Commit, parent string) error {
	if e.LogType == "" {
		return nil
	}
	var logs []*manifest.Part
	for i := range c.Parts {
		if p := &c.Parts[i]; p.Type == manifest.Log && p.State != manifest.Missing {
			logs = append(logs, p)
		}
	}
	if len(logs) == 0 {
		return nil
	}
	record, err := e.logRecord(ctx, c, parent)
	if err == nil {
		err = e.record(ctx, record.GetName(), record.GetData().GetType(), record.GetData().GetValue())
	}
	if err != nil {
		return fmt.Errorf("record of the log of %s: %w", c.Run.UID, err)
	}
	content := &partsReader{ctx: ctx, from: e.Store, parts: logs}
	err = e.send(ctx, logNameOf(record.GetName()), content)
	return errors.Join(err, content.Close())
}

// logRecord returns the record of a run's log: the imported one, or one like those of Tekton
// Results.
func (e *exporting) logRecord(ctx context.Context, c *manifest.Commit, parent string) (*pb.Record, error) {
	if name, ok := e.logs[c.Run.Namespace+"/"+c.Run.UID]; ok {
		o, err := e.objects.Get(ctx, name)
		return &pb.Record{Name: name.String(), Data: &pb.Any{Type: o.Type, Value: unstored(o.Data)}}, err
	}
	id := run.LogID(c.Run.Result, c.Run.UID)
	data, err := json.Marshal(map[string]any{
		"kind": "Log", "apiVersion": "results.tekton.dev/v1alpha3",
		"metadata": map[string]any{"name": c.Run.Name + "-log", "namespace": c.Run.Namespace, "uid": id},
		"spec": map[string]any{
			"type": e.LogType, "resource": map[string]any{
				"kind": c.Run.Kind, "namespace": c.Run.Namespace, "name": c.Run.Name, "uid": c.Run.UID,
			},
		},
	})
	return &pb.Record{Name: parent + "/records/" + id, Data: &pb.Any{Type: logType, Value: data}}, err
}

// send writes the content of a log, unless it exists: writing would append to it.
func (e *exporting) send(ctx context.Context, name string, content io.Reader) error {
	existing, err := e.To.Log(ctx, &pb.Record{Name: strings.Replace(name, "/logs/", "/records/", 1)})
	if err == nil {
		return existing.Close()
	}
	if !errors.Is(err, ErrNoLog) {
		return err
	}
	stream, err := e.To.logs.UpdateLog(ctx)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	buffer := make([]byte, 32<<10)
	for err == nil {
		var n int
		if n, err = io.ReadFull(content, buffer); n > 0 {
			if sendErr := stream.Send(&pb.Log{Name: name, Data: buffer[:n]}); sendErr != nil {
				_, closeErr := stream.CloseAndRecv()
				return fmt.Errorf("write %s: %w", name, errors.Join(sendErr, closeErr))
			}
		}
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if _, err := stream.CloseAndRecv(); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("write %s: %w", name, err)
	}
	e.mu.Lock()
	e.totals.Logs++
	e.mu.Unlock()
	return nil
}

// partsReader reads logs one after the other, each after a line with its container's name.
type partsReader struct {
	ctx   context.Context //nolint:containedctx // it is used for one log
	from  store.Store
	parts []*manifest.Part
	open  io.ReadCloser
	head  *strings.Reader
}

func (r *partsReader) Read(p []byte) (int, error) {
	for {
		if r.head != nil && r.head.Len() > 0 {
			return r.head.Read(p)
		}
		if r.open == nil {
			if len(r.parts) == 0 {
				return 0, io.EOF
			}
			part := r.parts[0]
			r.parts = r.parts[1:]
			var err error
			if r.open, err = manifest.Open(r.ctx, r.from, part); err != nil {
				return 0, err
			}
			if part.Container != "" {
				r.head = strings.NewReader("[" + strings.TrimPrefix(part.Container, "step-") + "]\n")
				continue
			}
		}
		n, err := r.open.Read(p)
		if errors.Is(err, io.EOF) {
			err = r.Close()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Close closes the log that is being read, if any.
func (r *partsReader) Close() error {
	if r.open == nil {
		return nil
	}
	open := r.open
	r.open = nil
	return open.Close()
}
