package server

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/access"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// Logs of containers, as the Tekton Dashboard requests them with --external-logs: GET
// PREFIX/NAMESPACE/POD/CONTAINER. The Dashboard knows the pod from the TaskRun. The archive finds
// the TaskRun, whose record names the pods of its attempts.

var errBadContainer = status.Error(codes.InvalidArgument, "the path must be NAMESPACE/POD/CONTAINER")

func (s *Server) externalLog(ctx context.Context, path map[string]string) (*openLog, error) {
	namespace, pod, container := path["namespace"], path["pod"], path["container"]
	if !parentPattern.MatchString(namespace) || namespace == wildcard ||
		len(validation.IsDNS1123Subdomain(pod)) > 0 || len(validation.IsDNS1123Label(container)) > 0 {
		return nil, errBadContainer
	}
	if err := s.allow(ctx, access.Get, access.Logs, namespace); err != nil {
		return nil, err
	}
	for _, filter := range podFilters(pod) {
		log, err := s.containerLog(ctx, namespace, pod, container, filter)
		if !errors.Is(err, errNoLog) {
			return log, err
		}
	}
	return nil, errNoLog
}

// podSuffix is what Tekton appends to a TaskRun's name for the pods of its attempts.
var podSuffix = regexp.MustCompile(`-pod(-retry[0-9]+)?$`)

// podFilters returns filters that find the TaskRun of a pod: by its name, which is indexed, and by
// the pod's, as Tekton shortens long names. A pod's name contains no quotes.
func podFilters(pod string) []string {
	var filters []string
	if taskRun := podSuffix.ReplaceAllString(pod, ""); taskRun != pod {
		filters = append(filters, fmt.Sprintf(`data_type == "tekton.dev/v1.TaskRun" && data.metadata.name == %q`,
			taskRun))
	}
	return append(filters, fmt.Sprintf(`data_type == "tekton.dev/v1.TaskRun" && data.status.podName == %q`, pod))
}

func (s *Server) containerLog(ctx context.Context, namespace, pod, container, filter string) (*openLog, error) {
	page, err := s.Engine.ListRecords(ctx, query.List{
		Namespaces: []string{namespace}, Parent: namespace, Result: wildcard, Filter: filter,
		OrderBy: "create_time desc", PageSize: 50,
	})
	if err != nil {
		return nil, err
	}
	for _, record := range page.Items {
		attempt := attemptOf(record.GetData().GetValue(), pod)
		n, err := parse(recordPattern, record.GetName())
		if err != nil || attempt < 0 {
			continue
		}
		c, err := s.Engine.Commit(ctx, n.parent, n.result, n.id)
		if status.Code(err) == codes.NotFound {
			continue // a tool's record
		}
		if err != nil {
			return nil, err
		}
		return s.oneContainer(ctx, c, container, attempt)
	}
	return nil, errNoLog
}

func (s *Server) oneContainer(
	ctx context.Context, bare *manifest.Commit, container string, attempt int,
) (*openLog, error) {
	switch content, err := s.overlaid(ctx, bare); {
	case errors.Is(err, ErrLogDeleted):
		return nil, errNoLog
	case err == nil: // a tool's log has all containers in one text
		return begin(ctx, sections(&section{content: content}), nothing)
	case !errors.Is(err, ErrNoLog):
		return nil, err
	}
	c, err := s.read(ctx, bare)
	if err != nil {
		return nil, err
	}
	for _, part := range logsOf(c) {
		if part.Container != container || part.Attempt != attempt || part.State == manifest.Missing {
			continue
		}
		content, err := manifest.Open(ctx, s.Store, &part)
		if err != nil {
			return nil, failed(ctx, "open the log", err)
		}
		return begin(ctx, sections(&section{content: content}), nothing)
	}
	return nil, errNoLog
}

// attemptOf returns the number of the attempt with that pod, as in the parts of logs; -1 if none.
func attemptOf(record []byte, pod string) int {
	taskRun, err := run.Parse(record)
	if err != nil {
		return -1
	}
	return slices.IndexFunc(taskRun.Attempts(), func(a run.Attempt) bool { return a.PodName == pod })
}
