package archiver

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/fsck"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// ReleaseAll takes the finalizer off all runs of the cluster, archived or not, for the day on which
// Indelible is removed. It returns how many there were, and tells progress after each. What fails
// does not keep it from the others. Where Tekton's admission refuses to let go of a run, it is kept
// away from the run's namespace meanwhile.
func ReleaseAll(ctx context.Context, config *rest.Config, progress func(done int)) (done int, err error) {
	c, err := run.NewClient(config)
	if err != nil {
		return 0, err
	}
	past, err := newBypass(config)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, past.close(ctx)) }()
	failed := error(nil)
	for m, err := range c.All(ctx) {
		if err != nil {
			return done, errors.Join(failed, err)
		}
		released, err := releaseOne(ctx, c, m.Kind, m)
		if isRefusal(err) {
			released, err = releasePast(ctx, c, past, m)
		}
		if failed = errors.Join(failed, err); released {
			done++
			progress(done)
		}
	}
	return done, failed
}

// Marked yields the runs of a class that say they are in the archive, for fsck. An error is the
// last that is yielded.
func Marked(ctx context.Context, config *rest.Config, class string) iter.Seq2[fsck.Marked, error] {
	return func(yield func(fsck.Marked, error) bool) {
		c, err := run.NewClient(config)
		if err != nil {
			yield(fsck.Marked{}, err)
			return
		}
		for m, err := range c.All(ctx) {
			if err != nil {
				yield(fsck.Marked{}, err)
				return
			}
			r := run.Run{ObjectMeta: m.ObjectMeta}
			if r.Released() && r.Labels[run.ClassLabel] == class &&
				!yield(fsck.Marked{Namespace: r.Namespace, Name: r.Name, Run: r.ID()}, nil) {
				return
			}
		}
	}
}

// bypassPatience is how long API servers may take to notice that a namespace is excluded.
const bypassPatience = 30 * time.Second

// releasePast takes the finalizer off a run that admission refuses to let go of.
func releasePast(
	ctx context.Context, c *run.Client, past *bypass, m *metav1.PartialObjectMetadata,
) (released bool, err error) {
	if err := past.open(ctx, m.Namespace); err != nil {
		return false, err
	}
	within, cancel := context.WithTimeout(ctx, bypassPatience)
	defer cancel()
	for {
		if released, err = releaseOne(ctx, c, m.Kind, m); !isRefusal(err) {
			return released, err
		}
		select {
		case <-time.After(time.Second / 2):
		case <-within.Done():
			return false, err
		}
	}
}

// releaseOne takes the finalizer off a run, reading it again where somebody has changed it
// meanwhile.
func releaseOne(ctx context.Context, c *run.Client, kind string, m *metav1.PartialObjectMetadata) (bool, error) {
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
			return false, fmt.Errorf("release %s: %w", ref, err)
		}
		object, err := c.Get(ctx, ref)
		if err != nil || object == nil {
			return false, err
		}
		if r, err = run.Parse(object); err != nil {
			return false, fmt.Errorf("release %s: %w", ref, err)
		}
	}
	return false, fmt.Errorf("release %s: it changes all the time", ref)
}
