package archiver

import (
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

func TestRefusedRunsBackOff(t *testing.T) {
	refusal := &apierrors.StatusError{ErrStatus: metav1.Status{Code: 400,
		Message: `admission webhook "validation.webhook.pipeline.tekton.dev" denied the request: no`}}
	a := (&cluster{t: t}).archiver(None, nil)
	r := &run.Run{TypeMeta: metav1.TypeMeta{Kind: "TaskRun"}}
	r.Name, r.UID = "a", types.UID("1")
	again := func() time.Duration {
		var w *wait
		if err := a.refused(r, refusal); !errors.As(err, &w) || w.reason != waitRefused {
			t.Fatalf("got %v", err)
		}
		return w.again
	}
	first := again()
	last := first
	for range 20 {
		next := again()
		if next < last {
			t.Fatalf("%s after %s", next, last)
		}
		last = next
	}
	if first > 10*time.Second || last < time.Minute || last > 5*time.Minute {
		t.Errorf("tries again from %s to %s later", first, last)
	}
	if err := a.refused(r, nil); err != nil {
		t.Fatal(err)
	}
	if got := again(); got != first {
		t.Errorf("%s after a success", got)
	}
}
