package archiver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	poll "k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// pollRemoval is how often to look whether the archiver has removed a finalizer.
const pollRemoval = time.Second

// ErrNotReleased is ReleaseRefused's error for runs whose finalizer the archiver has not removed in
// time.
var ErrNotReleased = errors.New("not released in time: is the archiver running? its log says what it waits for")

// ReleaseRefused helps the archiver with runs, finished or being deleted, whose every change
// Tekton's admission refuses. In each of their namespaces, or only in the given one, it keeps that
// admission away until the archiver has removed the finalizers, for timeout at most. It needs the
// right to change namespaces, which the archiver does not have. It returns the number of runs.
func ReleaseRefused(
	ctx context.Context, config *rest.Config, namespace string, timeout time.Duration, progress func(string),
) (n int, err error) {
	c, err := run.NewClient(config)
	if err != nil {
		return 0, err
	}
	b, err := newBypass(ctx, config)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.close(ctx)) }()
	refused, err := refusedRuns(ctx, c, namespace, b.isOpen)
	if err != nil {
		return 0, err
	}
	for _, r := range refused {
		progress(fmt.Sprintf("%s is refused by admission", r.Reference()))
		if err := b.open(ctx, r.Namespace); err != nil {
			return n, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, r := range refused {
		_ = c.Touch(ctx, r.Reference()) // admission may not have noticed yet: awaitRemoval does it again
	}
	var failed error
	for _, r := range refused {
		if err := awaitRemoval(ctx, c, r); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		n++
		progress(fmt.Sprintf("%s is released", r.Reference()))
	}
	return n, failed
}

// refusedRuns returns the protected runs, finished or being deleted, that admission lets nobody
// change, or that are in a namespace that a bypass which was killed has left open.
func refusedRuns(
	ctx context.Context, c *run.Client, namespace string, open func(namespace string) bool,
) ([]*run.Run, error) {
	var refused []*run.Run
	for m, err := range c.All(ctx) {
		if err != nil {
			return nil, err
		}
		if !slices.Contains(m.Finalizers, run.Finalizer) || namespace != "" && m.Namespace != namespace {
			continue
		}
		ref := run.Reference{Kind: m.Kind, Namespace: m.Namespace, Name: m.Name}
		if err := c.Rehearse(ctx, ref); !open(m.Namespace) && !isRefusal(err) {
			continue
		}
		object, err := c.Get(ctx, ref)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", ref, err)
		}
		if object == nil {
			continue
		}
		r, err := run.Parse(object)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", ref, err)
		}
		if r.Finished() || !r.DeletionTimestamp.IsZero() {
			refused = append(refused, r)
		}
	}
	return refused, nil
}

// awaitRemoval waits until the archiver has removed a run's finalizer, or the run no longer exists.
// The archiver tries refused runs every few minutes only, or when they change: so it touches the
// run.
func awaitRemoval(ctx context.Context, c *run.Client, r *run.Run) error {
	err := poll.PollUntilContextCancel(ctx, pollRemoval, true, func(ctx context.Context) (bool, error) {
		object, err := c.Get(ctx, r.Reference())
		if err != nil || object == nil {
			return err == nil, err
		}
		now, err := run.Parse(object)
		if err != nil || now.UID != r.UID || !now.Protected() {
			return err == nil, err
		}
		_ = c.Touch(ctx, r.Reference()) // refused as long as admission is not kept away, or there is no room
		return false, nil
	})
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", r.Reference(), ErrNotReleased)
	}
	return err
}
