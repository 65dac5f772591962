package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/filter"
)

// objectName is the annotation of a Result for the name of its summary's run, as Tekton Results'
// watcher sets it.
const objectName = "object.metadata.name"

// resultUID returns the UID of a Result, which its records' names derive from (run.LogID): its name
// if that is a UUID.
func resultUID(name string) string {
	if id, err := uuid.Parse(name); err == nil {
		return id.String()
	}
	return uuid.NewMD5(uuid.Nil, []byte(name)).String()
}

// statuses are Tekton Results' statuses for reasons of the condition Succeeded (its
// pkg/watcher/convert). Other reasons are unknown.
var statuses = map[pb.RecordSummary_Status][]string{
	pb.RecordSummary_SUCCESS:   {"Succeeded", "Completed"},
	pb.RecordSummary_TIMEOUT:   {"TaskRunTimeout", "PipelineRunTimeout"},
	pb.RecordSummary_CANCELLED: {"TaskRunCancelled", "Cancelled"},
	pb.RecordSummary_FAILURE: {
		"Failed", "TaskRunResolutionFailed", "TaskRunValidationFailed", "TaskValidationFailed",
		"ResourceVerificationFailed", "ExceededResourceQuota",
		"ExceededNodeResources", "PullImageFailed", "CreateContainerConfigError", "PodCreationFailed",
		"PodAdmissionFailed",
	},
}

func statusOf(reason string) pb.RecordSummary_Status {
	for s, reasons := range statuses {
		if slices.Contains(reasons, reason) {
			return s
		}
	}
	return pb.RecordSummary_UNKNOWN
}

// newResult makes a Result from what its runs say, or from what a tool wrote.
func newResult(r *index.ResultEntry) (*pb.Result, error) {
	created, updated := timestamppb.New(index.Micros(r.Created)), timestamppb.New(index.Micros(r.Updated))
	uid := resultUID(r.Name)
	result := &pb.Result{
		Name: r.Parent + "/results/" + r.Name, Uid: uid, Etag: fmt.Sprintf("%s-%d", uid, r.Updated),
		CreateTime: created, UpdateTime: updated,
		Id: uid, CreatedTime: created, UpdatedTime: updated, //nolint:staticcheck // older clients read these
		Annotations: map[string]string{},
	}
	if o := r.Object; o != nil {
		result.Id, result.Uid, result.Etag = o.UID, o.UID, o.ETag() //nolint:staticcheck // as above
		var written pb.Result
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(o.Data, &written); err != nil {
			return nil, fmt.Errorf("result %s: %w", result.GetName(), err)
		}
		result.Annotations, result.Summary = written.GetAnnotations(), written.GetSummary()
		return result, nil
	}
	if len(r.Annotations) > 0 {
		if err := json.Unmarshal(r.Annotations, &result.Annotations); err != nil {
			return nil, fmt.Errorf("annotations of result %s: %w", result.GetName(), err)
		}
	}
	if r.Root == nil {
		return result, nil
	}
	result.Annotations[objectName] = r.Root.Name
	var err error
	result.Summary, err = newSummary(result.GetName(), r.Root)
	return result, err
}

func newSummary(result string, root *index.RootEntry) (*pb.RecordSummary, error) {
	s := &pb.RecordSummary{Record: result + "/records/" + root.UID, Type: root.Type, Status: statusOf(root.Reason)}
	if root.Started.Valid {
		s.StartTime = &timestamppb.Timestamp{Seconds: root.Started.Int64}
	}
	if root.Completed.Valid {
		s.EndTime = &timestamppb.Timestamp{Seconds: root.Completed.Int64}
	}
	if root.Annotated {
		commit, err := root.Commit()
		if err != nil {
			return nil, err
		}
		s.Annotations = maps.Clone(commit.Run.SummaryAnnotations)
	}
	return s, nil
}

// GetResult implements query.Engine.
func (e *Engine) GetResult(ctx context.Context, parent, result string) (*pb.Result, error) {
	r, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	_, _, scopes := r.split(&query.List{Parent: parent})
	found, err := r.Results(ctx, index.ResultScan{Scopes: scopes, Names: []string{result}, Limit: 1})
	if err != nil {
		return nil, unavailable(err)
	}
	if len(found) == 0 {
		if err := r.finish(ctx); err != nil {
			return nil, err
		}
		return nil, notFound("result", parent+"/results/"+result)
	}
	made, err := newResult(&found[0])
	return made, unavailable(err)
}

var resultOrders = map[string]index.ResultOrder{
	"create_time": index.ResultCreated, "update_time": index.ResultUpdated, "summary.start_time": index.ResultStarted,
	"summary.end_time": index.ResultEnded,
}

// ListResults implements query.Engine.
func (e *Engine) ListResults(ctx context.Context, q query.List) (page query.Page[*pb.Result], err error) {
	size, err := pageSize(q.PageSize, minPage)
	if err != nil {
		return page, err
	}
	f, err := parse(filter.Results, q.Filter)
	if err != nil {
		return page, err
	}
	o, err := parseOrder(q.OrderBy, "create_time", "summary.end_time", "summary.start_time", "update_time")
	if err != nil {
		return page, err
	}
	list := listID("results", &q, o)
	after, err := decodeToken(q.PageToken, list)
	if err != nil {
		return page, err
	}
	r, err := e.begin(ctx)
	if err != nil {
		return page, err
	}
	_, _, scopes := r.split(&q)
	s := index.ResultScan{
		Scopes: scopes, Order: resultOrders[o.Field], Descending: o.Descending, After: after.position(),
		Limit: min(size, defaultPage) + 1,
	}
	from, to := f.Between("create_time")
	s.From, s.To = unix(from), unix(to)
	var more bool
	if page.Items, more, err = r.pageOfResults(ctx, f, &s, size); err != nil {
		return page, err
	}
	if more {
		page.NextPageToken = token{List: list, At: s.After.At, UID: s.After.UID}.encode()
	}
	return page, r.finish(ctx)
}

// pageOfResults returns the matching Results of a page, and whether there are more. The next page
// continues after s.After.
func (r *reading) pageOfResults(
	ctx context.Context, f *filter.Filter, s *index.ResultScan, size int,
) (items []*pb.Result, more bool, err error) {
	for bytes := 0; ; {
		found, err := r.Results(ctx, *s)
		if err != nil {
			return nil, false, unavailable(err)
		}
		read := 0
		for i := range found {
			if r.looked++; r.looked > r.MaxScan {
				return nil, false, r.tooMuch()
			}
			made, match, err := matching(ctx, f, &found[i])
			if err != nil {
				return nil, false, costly(err)
			}
			p, n := s.Position(&found[i]), proto.Size(made)
			read += n
			if match && (len(items) == size || len(items) > 0 && bytes+n > maxPageBytes) {
				return items, true, nil
			}
			if match {
				items, bytes = append(items, made), bytes+n
			}
			if match || len(items) < size {
				s.After = &p
			}
		}
		if len(found) < s.Limit {
			return items, false, nil
		}
		last := s.Position(&found[len(found)-1])
		s.After, s.Limit = &last, max(min(maxHeld/(read/len(found)+1), 4*s.Limit, maxChunk), 1)
	}
}

func matching(ctx context.Context, f *filter.Filter, r *index.ResultEntry) (*pb.Result, bool, error) {
	made, err := newResult(r)
	if err != nil {
		return nil, false, err
	}
	match, err := f.Must(ctx, resultEnv{made, r.Parent})
	return made, match, err
}

// resultEnv has the variables of a Result.
type resultEnv struct {
	*pb.Result
	parent string
}

// Value implements filter.Env.
func (v resultEnv) Value(variable string, path []filter.Step) any {
	switch variable {
	case "parent":
		return v.parent
	case "uid":
		return v.GetUid()
	case "create_time":
		return v.GetCreateTime().AsTime()
	case "update_time":
		return v.GetUpdateTime().AsTime()
	case "annotations":
		return member(v.GetAnnotations(), path)
	case "summary":
		if len(path) > 0 {
			return v.summary(path)
		}
	}
	return nil
}

func member(m map[string]string, path []filter.Step) any {
	if len(path) == 0 {
		text, err := json.Marshal(m)
		if err != nil {
			return nil
		}
		return filter.DynOf(text)
	}
	if value, ok := m[path[0].Field]; ok && len(path) == 1 {
		return value
	}
	return nil
}

// summary returns what Tekton Results has in columns: without a summary texts are empty, and times
// null.
func (v resultEnv) summary(path []filter.Step) any {
	s := v.GetSummary()
	switch path[0].Field {
	case "record":
		return s.GetRecord()
	case "type":
		return s.GetType()
	case "status":
		return int64(s.GetStatus())
	case "annotations":
		return member(s.GetAnnotations(), path[1:])
	case "start_time":
		return timeOf(s.GetStartTime())
	case "end_time":
		return timeOf(s.GetEndTime())
	}
	return nil
}

func timeOf(t *timestamppb.Timestamp) any {
	if t == nil {
		return nil
	}
	return t.AsTime()
}

// Native implements filter.Env.
func (v resultEnv) Native(variable string) any {
	switch variable {
	case "annotations":
		return v.GetAnnotations()
	case "summary":
		if v.GetSummary() == nil {
			return &pb.RecordSummary{}
		}
		return v.GetSummary()
	}
	return v.Value(variable, nil)
}
