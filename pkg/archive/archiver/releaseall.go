package archiver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// releasePage is how many runs are listed at a time: only their metadata, so that their size does not matter.
const releasePage = 500

// ReleaseAll takes the finalizer off all runs of the cluster, archived or not, for the day on which Indelible is removed. It returns
// how many there were, and tells progress after each. What fails does not keep it from the others.
func ReleaseAll(ctx context.Context, config *rest.Config, progress func(done int)) (int, error) {
	c, err := newClient(config)
	if err != nil {
		return 0, err
	}
	done, failed := 0, error(nil)
	for i, resource := range Resources {
		next := ""
		for {
			page, err := c.metadata(ctx, "/apis/"+resource.Group+"/"+resource.Version+"/"+resource.Resource, next)
			if apierrors.IsNotFound(err) {
				break // Tekton is not there any more
			}
			if err != nil {
				return done, errors.Join(failed, fmt.Errorf("list %s: %w", resource.Resource, err))
			}
			for j := range page.Items {
				released, err := c.releaseOne(ctx, kinds[i], &page.Items[j])
				if failed = errors.Join(failed, err); released {
					done++
					progress(done)
				}
			}
			if next = page.Continue; next == "" {
				break
			}
		}
	}
	return done, failed
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

// releaseOne takes the finalizer off a run, reading it again where somebody has changed it meanwhile.
func (c *client) releaseOne(ctx context.Context, kind string, m *metav1.PartialObjectMetadata) (bool, error) {
	ref := Reference{Kind: kind, Namespace: m.Namespace, Name: m.Name}
	r := &run{ObjectMeta: m.ObjectMeta}
	for range conflictTries {
		if !slices.Contains(r.Finalizers, Finalizer) {
			return false, nil
		}
		r.Kind = kind
		body, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"uid": r.UID, "resourceVersion": r.ResourceVersion, "finalizers": r.otherFinalizers(),
		}})
		if err != nil {
			return false, err
		}
		if err = c.patch(ctx, ref, body); err == nil {
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
