package archiver

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

func TestAwaitSigning(t *testing.T) {
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	finished := func(ago time.Duration, finalizers ...string) *run.Run {
		return &run.Run{ObjectMeta: metav1.ObjectMeta{Finalizers: finalizers},
			Status: run.Status{CompletionTime: run.Time{Time: now.Add(-ago)}}}
	}
	for name, test := range map[string]struct {
		run   *run.Run
		waits bool
	}{
		"archive a run without other finalizers": {finished(0, run.Finalizer), false},
		"wait for Chains":                        {finished(time.Minute, "chains.tekton.dev"), true},
		"wait for Chains by the name of a kind": {
			finished(time.Minute, "chains.tekton.dev/pipelinerun"), true,
		},
		"archive a run that Chains does not sign in time":   {finished(11*time.Minute, "chains.tekton.dev"), false},
		"archive a run that says it ends in a century":      {finished(-876_000*time.Hour, "chains.tekton.dev"), false},
		"archive a run with a finalizer other than Chains'": {finished(0, "example.dev/x"), false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := awaitSigning(test.run, now); (err != nil) != test.waits {
				t.Errorf("got %v", err)
			}
		})
	}
}
