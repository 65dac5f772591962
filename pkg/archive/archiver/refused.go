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
	// waitRefused is the reason of a run that somebody's admission lets nobody change: as a rule
	// Tekton's own, which looks at the whole spec at every write, also of a finalizer. A feature
	// that was switched off since the run was created, or another version of Tekton, makes it
	// refuse for good.
	waitRefused = "refused"
	// refusedAgain is when a run is looked at again that was refused: an administrator may be
	// opening the way just now.
	refusedAgain = 5 * time.Second
	// refusedEach is how much later for each other one that is: a flag may have been switched over
	// a hundred thousand of them.
	refusedEach = 10 * time.Millisecond
	// refusedEvent is the reason of the event that says so.
	refusedEvent = "ArchiveCannotRelease"
)

// isRefusal says whether an admission webhook or policy has refused a write, and not merely failed
// to answer.
func isRefusal(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Code >= http.StatusInternalServerError {
		return false
	}
	message := status.Status().Message
	return strings.Contains(message, "admission webhook") && strings.Contains(message, "denied the request") ||
		strings.Contains(message, "ValidatingAdmissionPolicy") && strings.Contains(message, "denied request")
}

// refused makes a wait of a refusal, and says so on the run, once.
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
			run.Finalizer+
			" stays on it: a cluster administrator can run `archiver release --refused`")
	}
	return &wait{reason: waitRefused, detail: err.Error(), again: refusedAgain + time.Duration(others)*refusedEach}
}

// refusals are the runs that were refused.
type refusals struct {
	mu   sync.Mutex
	runs map[types.UID]struct{}
}

// note says whether a run was not refused before, and how many others are.
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
