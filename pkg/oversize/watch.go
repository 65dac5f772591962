package oversize

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
)

// Options configure Run.
type Options struct {
	Kube   kubernetes.Interface
	Runs   dynamic.Interface
	Events record.EventRecorder
	Log    logr.Logger
}

// said is the API server's answer to a body over 3 MiB (NewRequestEntityTooLargeError), which the
// controller's event repeats.
const said = "equest entity too large"

const group = "tekton.dev/"

// reasons are the reasons of the events that Tekton's controller (1.15) sends when it could not
// write a status (updateStatus in its generated reconcilers) or create a child
// (runNextSchedulableTask).
var reasons = []string{"UpdateFailed", "TaskRunsCreationFailed", "RunsCreationFailed",
	"ChildPipelineRunsCreationFailed"}

// subject is the run that an event is about.
type subject struct{ kind, namespace, name string }

// maxName is the longest name of an object; an event's involvedObject accepts any text.
const maxName = 253

// subjectOf returns false for an event that is not about a write that was too large, and for one in
// another namespace than its subject.
func subjectOf(e *corev1.Event) (subject, bool) {
	about := e.InvolvedObject
	ok := slices.Contains(reasons, e.Reason) && strings.Contains(e.Message, said) && about.Namespace == e.Namespace &&
		len(about.Name) <= maxName &&
		strings.HasPrefix(about.APIVersion, group) && (about.Kind == "PipelineRun" || about.Kind == "TaskRun")
	return subject{about.Kind, about.Namespace, about.Name}, ok
}

const (
	// attempts is how often ending a run is tried; the controller's next event starts over.
	attempts = 5
	// firstBackoff precedes the second attempt; each backoff is twice the one before.
	firstBackoff, maxBackoff = time.Second, 30 * time.Second
)

// Run ends oversized runs until ctx ends.
func Run(ctx context.Context, o Options) {
	queue := workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[subject](firstBackoff,
			maxBackoff))
	add := func(object any) {
		if e, ok := object.(*corev1.Event); ok {
			if s, ok := subjectOf(e); ok {
				queue.Add(s)
			}
		}
	}
	for _, reason := range reasons { // field selectors have no "or"
		_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
			ListerWatcher: cache.NewListWatchFromClient(o.Kube.CoreV1().RESTClient(), "events", corev1.NamespaceAll,
				warnings(reason)),
			ObjectType: &corev1.Event{}, Transform: trim,
			Handler: cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, now any) { add(now) }},
		})
		go informer.RunWithContext(ctx)
	}
	go func() {
		<-ctx.Done()
		queue.ShutDown()
	}()
	for {
		s, down := queue.Get()
		if down {
			return
		}
		if err := o.end(ctx, s); err != nil && queue.NumRequeues(s) < attempts {
			o.Log.Error(err, "Could not end a run that is too large; retrying", "kind", s.kind, "namespace",
				s.namespace, "name",
				s.name)
			queue.AddRateLimited(s)
		} else {
			queue.Forget(s)
		}
		queue.Done(s)
	}
}

func warnings(reason string) fields.Selector {
	return fields.SelectorFromSet(fields.Set{"type": corev1.EventTypeWarning, "reason": reason})
}

// trim keeps only an event's identity and what subjectOf reads: anybody may create events of up to
// 1.5 MiB, and the cache holds them as long as the API server does, for an hour.
func trim(object any) (any, error) {
	e, ok := object.(*corev1.Event)
	if !ok {
		return object, nil
	}
	small := &corev1.Event{}
	small.Namespace, small.Name, small.UID, small.ResourceVersion = e.Namespace, e.Name, e.UID, e.ResourceVersion
	if s, wanted := subjectOf(e); wanted {
		small.Reason, small.Message = e.Reason, said
		small.InvolvedObject = corev1.ObjectReference{APIVersion: group, Kind: s.kind, Namespace: s.namespace,
			Name: s.name}
	}
	return small, nil
}

func (s subject) String() string { return fmt.Sprintf("%s %s/%s", s.kind, s.namespace, s.name) }
