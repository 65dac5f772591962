package archiver

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

const (
	// waitRefused is the reason of a run that admission lets nobody change. Usually it is Tekton's
	// own webhook, which validates the whole spec at every write, even of a finalizer. If a feature
	// was disabled or Tekton upgraded since the run was created, it refuses for good.
	waitRefused = "refused"
	// refusedAgain is when a refused run is tried again: an administrator may be running archiver
	// release --refused.
	refusedAgain = 5 * time.Second
	// refusedEach is added per other refused run: disabling a feature may affect 100,000 runs.
	refusedEach = 10 * time.Millisecond
	// refusedEvent is the reason of the event about a refusal.
	refusedEvent = "ArchiveCannotRelease"
)

// isRefusal reports whether an admission webhook or policy denied a write, as opposed to not
// answering.
func isRefusal(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Code >= http.StatusInternalServerError {
		return false
	}
	message := status.Status().Message
	return strings.Contains(message, "admission webhook") && strings.Contains(message, "denied the request") ||
		strings.Contains(message, "ValidatingAdmissionPolicy") && strings.Contains(message, "denied request")
}

// refused turns a refusal into a wait, and sends an event about it once per run.
func (a *Archiver) refused(r *run.Run, err error) error {
	if err == nil || !isRefusal(err) {
		return err
	}
	first, others := a.refusals.note(r.UID)
	if first && a.Events != nil {
		a.Events.Event(&corev1.ObjectReference{
			APIVersion: r.APIVersion, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, UID: r.UID,
			ResourceVersion: r.ResourceVersion,
		}, corev1.EventTypeWarning, refusedEvent, "admission refuses every change of this run, so that the finalizer "+
			run.Finalizer+" stays on it: a cluster administrator can run `archiver release --refused`")
	}
	return &wait{reason: waitRefused, detail: err.Error(), again: refusedAgain + time.Duration(others)*refusedEach}
}

// refusals has the UIDs of refused runs.
type refusals struct {
	mu   sync.Mutex
	runs map[types.UID]struct{}
}

// note adds a run. It reports whether the run is new, and how many others there are.
func (f *refusals) note(run types.UID) (first bool, others int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.runs == nil {
		f.runs = map[types.UID]struct{}{}
	}
	_, before := f.runs[run]
	f.runs[run] = struct{}{}
	return !before, len(f.runs) - 1
}

func (f *refusals) forget(run types.UID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.runs, run)
}
