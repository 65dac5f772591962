package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// All yields the metadata of all runs, with their kind. An error is the last item.
func (c *Client) All(ctx context.Context) iter.Seq2[*metav1.PartialObjectMetadata, error] {
	return func(yield func(*metav1.PartialObjectMetadata, error) bool) {
		for i, resource := range Resources {
			for next, more := "", true; more; more = next != "" {
				page, err := c.metadata(ctx, Kinds[i], next)
				if apierrors.IsNotFound(err) {
					break // Tekton is not installed
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

// metadata lists a page of a kind's metadata.
func (c *Client) metadata(ctx context.Context, kind, next string) (*metav1.PartialObjectMetadataList, error) {
	data, err := c.lists.Get().AbsPath(pathOf(kind, "", "")).SetHeader("Accept",
		"application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").
		Param("limit", fmt.Sprint(metadataPage)).Param("continue", next).Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	page := &metav1.PartialObjectMetadataList{}
	return page, json.Unmarshal(data, page)
}

// metadataPage is the page size for metadata, which has some kilobytes whatever the run's size, but
// up to half a megabyte if somebody fills a run's annotations.
const metadataPage = 50

// List returns a page of a kind's runs, as the API server sends it.
func (c *Client) List(ctx context.Context, kind string, limit int, next string) (io.ReadCloser, error) {
	return c.page(kind, limit, next).Stream(ctx)
}

func (c *Client) page(kind string, limit int, next string) *rest.Request {
	return c.lists.Get().AbsPath(pathOf(kind, "", "")).Param("limit", strconv.Itoa(limit)).Param("continue", next)
}

// Listed is a run of a page. Object is its JSON, a slice of the page's.
type Listed struct {
	Namespace, Name string
	Object          []byte
}

// ErrPageTooLarge says that the page exceeds the given size.
var ErrPageTooLarge = errors.New("the page is too large")

// Page lists at most limit runs of a kind, as whole objects, sorted by namespace and name. All
// pages show the state at the time of the first, for which next is empty; after is the next page's,
// empty at the end. A page of more than maxBytes is not read to its end, and the error is
// ErrPageTooLarge.
func (c *Client) Page(
	ctx context.Context, kind string, limit int, next string, maxBytes int64,
) (page []Listed, after string, err error) {
	body, err := c.page(kind, limit, next).Stream(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("list %ss: %w", kind, err)
	}
	text, err := io.ReadAll(io.LimitReader(body, maxBytes+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, "", fmt.Errorf("list %ss: %w", kind, err)
	}
	if int64(len(text)) > maxBytes {
		return nil, "", ErrPageTooLarge
	}
	err = jsonscan.Members(text, func(key []byte, value jsonscan.Span) error {
		switch string(key) {
		case "metadata":
			return jsonscan.Wanted{"continue": &after}.Read(value.Of(text))
		case "items":
			return jsonscan.Elements(value.Of(text), func(object []byte) error {
				l := Listed{Object: object}
				err := jsonscan.Wanted{"metadata": jsonscan.Wanted{"name": &l.Name,
					"namespace": &l.Namespace}}.Read(object)
				page = append(page, l)
				return err
			})
		}
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("list %ss: %w", kind, err)
	}
	return page, after, nil
}
