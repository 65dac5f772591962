package archiver

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

const (
	// lastEvent is how long to wait for Tekton's event about the end of a run that has just
	// finished. Tekton sends events separately from the status, a few milliseconds later.
	lastEvent = 250 * time.Millisecond
	// maxRunEvents is the most bytes of events archived with a run; usual are ten thousand.
	maxRunEvents = 1 << 20
	// justFinished is up to what age of a finished run lastEvent is waited for.
	justFinished = 3 * time.Second
	// clockSkew is how much the clocks of a cluster's API servers may differ.
	clockSkew = 10 * time.Second
)

var errEventsUnknown = errors.New("the watch of events has not begun yet")

// events stores the events about the run and its pods as a v1.EventList, sorted by their first
// times. A run without events has no such part; one whose events nobody waits for any more
// (observed.Events.Await) has one that is missing.
func (u *upload) events(ctx context.Context) error {
	found, err := u.eventsAbout(ctx)
	if errors.Is(err, errEventsUnknown) && u.Recent.GaveUp() {
		u.missing(manifest.Part{Type: manifest.Events}, "the API server did not list the cluster's events in time")
		return nil
	}
	if err != nil || len(found) == 0 {
		return err
	}
	slices.SortFunc(found, func(a, b *observed.Event) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.Name, b.Name))
	})
	list := bytes.NewBufferString(`{"kind":"EventList","apiVersion":"v1","metadata":{},"items":[`)
	left := 0
	for i, s := range found {
		if list.Len()+len(s.Raw) > maxRunEvents {
			left = len(found) - i
			break
		}
		if i > 0 {
			list.WriteByte(',')
		}
		list.Write(s.Raw)
	}
	list.WriteString(`]}`)
	if err := u.storeJSON(ctx, manifest.Events, "events.json", list.Bytes()); err != nil {
		return err
	}
	if left > 0 {
		u.lastPart().State, u.lastPart().Reason = manifest.Truncated,
			fmt.Sprintf("there are more than %d bytes of events: the last %d are left out", maxRunEvents, left)
	}
	return nil
}

// objectsOf returns the UIDs of a run and of its pods, without duplicates. A run's status has only
// pod names, and a pod may no longer exist, so UIDs are taken from the events.
func (a *Archiver) objectsOf(r *run.Run) []types.UID {
	uids := []types.UID{r.UID}
	for _, attempt := range r.Attempts() {
		name := types.NamespacedName{Namespace: r.Namespace, Name: attempt.PodName}
		uids = append(uids, a.Recent.PodsNamed(name, r.CreationTimestamp.Add(-clockSkew))...)
	}
	slices.Sort(uids)
	return slices.Compact(uids)
}

// eventsAbout returns the events of a run, after a short wait for the one about its end. For
// CustomRuns it does not wait: their controllers may not send one.
func (u *upload) eventsAbout(ctx context.Context) ([]*observed.Event, error) {
	timeout := time.NewTimer(lastEvent)
	defer timeout.Stop()
	for {
		found, changed, synced := u.Recent.About(u.run.Namespace, u.objectsOf(u.run)...)
		if !synced {
			return nil, errEventsUnknown
		}
		if !u.run.Finished() || u.run.Deleted || u.run.Kind == run.CustomRunKind ||
			u.run.Since(u.Now()) > justFinished ||
			slices.ContainsFunc(found, u.ends) {
			return found, nil
		}
		select {
		case <-changed:
		case <-timeout.C:
			return found, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ends reports whether an event is Tekton's last about the run. Its reason is that of the
// condition, or one of these.
func (u *upload) ends(s *observed.Event) bool {
	_, reason := u.run.Outcome()
	return s.About == u.run.UID && (s.Reason == reason || s.Reason == "Succeeded" || s.Reason == "Failed" ||
		s.Reason == "Cancelled")
}
