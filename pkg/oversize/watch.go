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
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// Options configure Run.
type Options struct {
	// Config is for the watch of events.
	Config *rest.Config
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
		w, err := o.watchWarnings(reason, add)
		if err != nil {
			o.Log.Error(err, "Runs that are too large are not ended")
			return
		}
		go w.Run(ctx)
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

// watchWarnings returns a watch of the warnings with a reason, of which it keeps none: anybody may
// create thousands of 1.5 MiB. It starts over now and then, and then gives all again.
func (o *Options) watchWarnings(reason string, add func(any)) (*observed.Reflector, error) {
	w, err := observed.NewReflector(o.Config, corev1.SchemeGroupVersion.WithResource("events"), &corev1.Event{}, read)
	if err != nil {
		return nil, err
	}
	w.Fields = fields.SelectorFromSet(fields.Set{"type": corev1.EventTypeWarning, "reason": reason}).String()
	w.Listed = func(object runtime.Object) runtime.Object {
		add(object)
		return nil
	}
	w.Initial, w.Synced = func([]any) {}, func() {}
	w.Changed, w.Deleted = add, func(any) {}
	w.Unreadable = func(name types.NamespacedName) {
		o.Log.V(1).Info("An event cannot be decoded, and is left out", "event", name.String())
	}
	return w, nil
}

// read decodes what subjectOf looks at. The rest may be anything, also times that nobody can
// decode.
func read(object []byte) (runtime.Object, error) {
	e := &corev1.Event{}
	about := &e.InvolvedObject
	return e, jsonscan.Wanted{
		"metadata": jsonscan.Wanted{"name": &e.Name, "namespace": &e.Namespace, "resourceVersion": &e.ResourceVersion,
			"annotations": &e.Annotations},
		"involvedObject": jsonscan.Lenient{To: jsonscan.Wanted{"apiVersion": &about.APIVersion, "kind": &about.Kind,
			"namespace": &about.Namespace, "name": &about.Name}},
		"reason": jsonscan.Lenient{To: &e.Reason}, "message": jsonscan.Lenient{To: &e.Message},
	}.Read(object)
}

func (s subject) String() string { return fmt.Sprintf("%s %s/%s", s.kind, s.namespace, s.name) }
