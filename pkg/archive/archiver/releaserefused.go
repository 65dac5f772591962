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

// pollReleased is how often it is looked whether the archiver has released a run.
const pollReleased = time.Second

// ErrNotReleased is the error of ReleaseRefused for runs that the archiver has not released in
// time.
var ErrNotReleased = errors.New("not released in time: is the archiver running? its log says what it waits for")

// ReleaseRefused leads the archiver past Tekton's admission, where that refuses every change of
// runs that are finished or to be deleted. In each such namespace, or the given one, it is kept
// away until the archiver has released them, timeout at the most. It needs the right to change
// namespaces, which the archiver does not have. It returns how many runs there were.
func ReleaseRefused(
	ctx context.Context, config *rest.Config, namespace string, timeout time.Duration, progress func(string),
) (n int, err error) {
	c, err := run.NewClient(config)
	if err != nil {
		return 0, err
	}
	refused, err := refusedRuns(ctx, c, namespace)
	if err != nil {
		return 0, err
	}
	b, err := newBypass(config)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.close(ctx)) }()
	for _, r := range refused {
		progress(fmt.Sprintf("%s is refused by admission", r.Reference()))
		if err := b.open(ctx, r.Namespace); err != nil {
			return n, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var failed error
	for _, r := range refused {
		if err := awaitReleased(ctx, c, r); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		n++
		progress(fmt.Sprintf("%s is released", r.Reference()))
	}
	return n, failed
}

// refusedRuns are the protected runs, finished or to be deleted, that admission lets nobody change.
func refusedRuns(ctx context.Context, c *run.Client, namespace string) ([]*run.Run, error) {
	var refused []*run.Run
	for m, err := range c.All(ctx) {
		if err != nil {
			return nil, err
		}
		if !slices.Contains(m.Finalizers, run.Finalizer) || namespace != "" && m.Namespace != namespace {
			continue
		}
		ref := run.Reference{Kind: m.Kind, Namespace: m.Namespace, Name: m.Name}
		if err := c.Rehearse(ctx, ref); err == nil || !isRefusal(err) {
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

// awaitReleased waits until the archiver is done with a run, or it is gone.
func awaitReleased(ctx context.Context, c *run.Client, r *run.Run) error {
	err := poll.PollUntilContextCancel(ctx, pollReleased, true, func(ctx context.Context) (bool, error) {
		object, err := c.Get(ctx, r.Reference())
		if err != nil || object == nil {
			return err == nil, err
		}
		now, err := run.Parse(object)
		return err == nil && (now.UID != r.UID || !now.Protected()), err
	})
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", r.Reference(), ErrNotReleased)
	}
	return err
}
