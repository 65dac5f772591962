package run

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// All yields the metadata of all runs, with their kind. An error is the last that is yielded.
func (c *Client) All(ctx context.Context) iter.Seq2[*metav1.PartialObjectMetadata, error] {
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
					page.Items[j].Kind = Kinds[i]
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
func (c *Client) metadata(ctx context.Context, path, next string) (*metav1.PartialObjectMetadataList, error) {
	data, err := c.rest.Get().AbsPath(path).SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").
		Param("limit", fmt.Sprint(metadataPage)).Param("continue", next).Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	page := &metav1.PartialObjectMetadataList{}
	return page, json.Unmarshal(data, page)
}

// metadataPage is how many runs are listed at a time: only their metadata, so that their size does not matter.
const metadataPage = 500

// List gives a page of objects, as the API server sends it.
func (c *Client) List(ctx context.Context, path string, limit int, next string) ([]byte, error) {
	return c.rest.Get().AbsPath(path).Param("limit", strconv.Itoa(limit)).Param("continue", next).Do(ctx).Raw()
}
