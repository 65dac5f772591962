package archiver

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// ReleaseAll removes the finalizer from all runs of the cluster, archived or not, before Indelible
// is uninstalled. It returns their number, and calls progress after each. An error does not stop
// it. Where Tekton's admission refuses the change, it is kept away from the run's namespace
// meanwhile.
func ReleaseAll(ctx context.Context, config *rest.Config, progress func(done int)) (done int, err error) {
	c, err := run.NewClient(config)
	if err != nil {
		return 0, err
	}
	past, err := newBypass(ctx, config)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, past.close(ctx)) }()
	failed := error(nil)
	for m, err := range c.All(ctx) {
		if err != nil {
			return done, errors.Join(failed, err)
		}
		released, err := removeFinalizerOf(ctx, c, m.Kind, m)
		if isRefusal(err) {
			released, err = removeFinalizerPast(ctx, c, past, m)
		}
		if failed = errors.Join(failed, err); released {
			done++
			progress(done)
		}
	}
	return done, failed
}

// bypassPatience is how long API servers may take to notice that a namespace is excluded.
const bypassPatience = 30 * time.Second

// removeFinalizerPast removes the finalizer from a run whose change admission refuses.
func removeFinalizerPast(
	ctx context.Context, c *run.Client, past *bypass, m *metav1.PartialObjectMetadata,
) (released bool, err error) {
	if err := past.open(ctx, m.Namespace); err != nil {
		return false, err
	}
	within, cancel := context.WithTimeout(ctx, bypassPatience)
	defer cancel()
	for {
		if released, err = removeFinalizerOf(ctx, c, m.Kind, m); !isRefusal(err) {
			return released, err
		}
		select {
		case <-time.After(time.Second / 2):
		case <-within.Done():
			return false, err
		}
	}
}

// removeFinalizerOf removes the finalizer from a run, and reads it again after a conflict.
func removeFinalizerOf(ctx context.Context, c *run.Client, kind string, m *metav1.PartialObjectMetadata) (bool, error) {
	ref := run.Reference{Kind: kind, Namespace: m.Namespace, Name: m.Name}
	r := &run.Run{TypeMeta: metav1.TypeMeta{Kind: kind}, ObjectMeta: m.ObjectMeta}
	for range conflictTries {
		if !r.Protected() {
			return false, nil
		}
		err := c.Unprotect(ctx, r)
		if err == nil {
			return true, nil
		}
		if !apierrors.IsConflict(err) {
			return false, fmt.Errorf("remove the finalizer of %s: %w", ref, err)
		}
		object, err := c.Get(ctx, ref)
		if err != nil || object == nil {
			return false, err
		}
		if r, err = run.Parse(object); err != nil {
			return false, fmt.Errorf("remove the finalizer of %s: %w", ref, err)
		}
	}
	return false, fmt.Errorf("remove the finalizer of %s: conflicts with other writes", ref)
}
