package archiver

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// However often a status names a pod, and whatever events contain, each object appears once.
func TestObjectsThatEventsAreAbout(t *testing.T) {
	a := &Archiver{Recent: observed.NewEvents(func(string) {})}
	created := time.Date(2026, 11, 20, 10, 42, 11, 0, time.UTC)
	for i, uid := range []string{"run", "pod", "pod", "another"} {
		s := &observed.Event{}
		if err := s.Read(fmt.Appendf(nil,
			`{"metadata":{"namespace":"team","name":"e%d","creationTimestamp":"2026-11-20T10:42:12Z"},"involvedObject":{"kind":"Pod","namespace":"team","name":"p","uid":%q}}`, i, uid)); err != nil {
			t.Fatal(err)
		}
		a.Recent.Add(s)
	}
	r := &run.Run{ObjectMeta: metav1.ObjectMeta{Namespace: "team", UID: "run",
		CreationTimestamp: metav1.NewTime(created)}}
	r.Status.PodName = "p"
	for range 400 {
		r.Status.RetriesStatus = append(r.Status.RetriesStatus, run.Attempt{PodName: "p"})
	}
	if got, want := a.objectsOf(r), []types.UID{"another", "pod", "run"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
