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
	// refusedAgain is when a refused run is tried again for the first time, and refusedLast the
	// longest delay, up to which it doubles: only an administrator can help, and archiver release
	// --refused touches the run, so that the watch triggers an attempt.
	refusedAgain, refusedLast = 5 * time.Second, 4 * time.Minute
	// refusedEach is added per other refused run: disabling a feature may affect 100,000 runs, and
	// each attempt costs a request to the store and two to the API server. This makes ten attempts a
	// second of all.
	refusedEach = 100 * time.Millisecond
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
	if err == nil {
		a.refusals.forget(r.Reference())
	}
	if err == nil || !isRefusal(err) {
		return err
	}
	before, again := a.refusals.note(r.Reference(), r.UID)
	if before == 0 && a.Events != nil {
		a.Events.Event(&corev1.ObjectReference{
			APIVersion: r.APIVersion, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, UID: r.UID,
			ResourceVersion: r.ResourceVersion,
		}, corev1.EventTypeWarning, refusedEvent, "admission refuses every change of this run, so that the finalizer "+
			run.Finalizer+" stays on it: a cluster administrator can run `archiver release --refused`")
	}
	return &wait{reason: waitRefused, detail: err.Error(), again: again}
}

// refusals has the refused runs.
type refusals struct {
	mu   sync.Mutex
	runs map[run.Reference]refusal
}

// refusal is how often a run was refused.
type refusal struct {
	uid   types.UID
	times int
}

// note records a refusal. It returns how many there were of the run before, and when to try again.
func (f *refusals) note(ref run.Reference, uid types.UID) (before int, again time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.runs == nil {
		f.runs = map[run.Reference]refusal{}
	}
	r := f.runs[ref]
	if r.uid != uid {
		r = refusal{uid: uid} // another run of that name
	}
	before = r.times
	again = min(refusedAgain<<min(before, 10), refusedLast)
	r.times++
	f.runs[ref] = r
	return before, again + time.Duration(len(f.runs)-1)*refusedEach
}

func (f *refusals) forget(ref run.Reference) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.runs, ref)
}
