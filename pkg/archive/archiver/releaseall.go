package archiver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/fsck"
)

// releasePage is how many runs are listed at a time: only their metadata, so that their size does not matter.
const releasePage = 500

// ReleaseAll takes the finalizer off all runs of the cluster, archived or not, for the day on which Indelible is removed. It returns
// how many there were, and tells progress after each. What fails does not keep it from the others. Where Tekton's admission refuses to
// let go of a run, it is kept away from the run's namespace meanwhile.
func ReleaseAll(ctx context.Context, config *rest.Config, progress func(done int)) (done int, err error) {
	c, err := newClient(config)
	if err != nil {
		return 0, err
	}
	past, err := newBypass(config)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, past.close(ctx)) }()
	failed := error(nil)
	for m, err := range c.all(ctx) {
		if err != nil {
			return done, errors.Join(failed, err)
		}
		released, err := c.releaseOne(ctx, m.Kind, m)
		if isRefusal(err) {
			released, err = c.releasePast(ctx, past, m)
		}
		if failed = errors.Join(failed, err); released {
			done++
			progress(done)
		}
	}
	return done, failed
}

// Marked yields the runs of a class that say they are in the archive, for fsck. An error is the last that is yielded.
func Marked(ctx context.Context, config *rest.Config, class string) iter.Seq2[fsck.Marked, error] {
	return func(yield func(fsck.Marked, error) bool) {
		c, err := newClient(config)
		if err != nil {
			yield(fsck.Marked{}, err)
			return
		}
		for m, err := range c.all(ctx) {
			if err != nil {
				yield(fsck.Marked{}, err)
				return
			}
			r := run{ObjectMeta: m.ObjectMeta}
			if released(&r) && r.Labels[ClassLabel] == class && !yield(fsck.Marked{Namespace: r.Namespace, Name: r.Name, Run: r.id()}, nil) {
				return
			}
		}
	}
}

// all yields the metadata of all runs, with their kind. An error is the last that is yielded.
func (c *client) all(ctx context.Context) iter.Seq2[*metav1.PartialObjectMetadata, error] {
	return func(yield func(*metav1.PartialObjectMetadata, error) bool) {
		for i, resource := range Resources {
			for next, more := "", true; more; more = next != "" {
				page, err := c.metadata(ctx, "/apis/"+resource.Group+"/"+resource.Version+"/"+resource.Resource, next)
				if apierrors.IsNotFound(err) {
					break // Tekton is not there any more
				}
				if err != nil {
					yield(nil, fmt.Errorf("list %s: %w", resource.Resource, err))
					return
				}
				for j := range page.Items {
					page.Items[j].Kind = kinds[i]
					if !yield(&page.Items[j], nil) {
						return
					}
				}
				next = page.Continue
			}
		}
	}
}

// metadata lists a page of objects.
func (c *client) metadata(ctx context.Context, path, next string) (*metav1.PartialObjectMetadataList, error) {
	data, err := c.rest.Get().AbsPath(path).SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").
		Param("limit", fmt.Sprint(releasePage)).Param("continue", next).Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	page := &metav1.PartialObjectMetadataList{}
	return page, json.Unmarshal(data, page)
}

// bypassPatience is how long API servers may take to notice that a namespace is excluded.
const bypassPatience = 30 * time.Second

// releasePast takes the finalizer off a run that admission refuses to let go of.
func (c *client) releasePast(ctx context.Context, past *bypass, m *metav1.PartialObjectMetadata) (released bool, err error) {
	if err := past.open(ctx, m.Namespace); err != nil {
		return false, err
	}
	within, cancel := context.WithTimeout(ctx, bypassPatience)
	defer cancel()
	for {
		if released, err = c.releaseOne(ctx, m.Kind, m); !isRefusal(err) {
			return released, err
		}
		select {
		case <-time.After(time.Second / 2):
		case <-within.Done():
			return false, err
		}
	}
}

// releaseOne takes the finalizer off a run, reading it again where somebody has changed it meanwhile.
func (c *client) releaseOne(ctx context.Context, kind string, m *metav1.PartialObjectMetadata) (bool, error) {
	ref := Reference{Kind: kind, Namespace: m.Namespace, Name: m.Name}
	r := &run{TypeMeta: metav1.TypeMeta{Kind: kind}, ObjectMeta: m.ObjectMeta}
	for range conflictTries {
		if !r.protected() {
			return false, nil
		}
		err := c.unprotect(ctx, r)
		if err == nil {
			return true, nil
		}
		if !apierrors.IsConflict(err) {
			return false, fmt.Errorf("release %s: %w", ref, err)
		}
		object, err := c.get(ctx, ref)
		if err != nil || object == nil {
			return false, err
		}
		if r, err = parse(object); err != nil {
			return false, fmt.Errorf("release %s: %w", ref, err)
		}
	}
	return false, fmt.Errorf("release %s: it changes all the time", ref)
}
