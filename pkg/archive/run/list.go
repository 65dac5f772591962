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

// All yields the metadata of all runs, with their kind. An error is the last that is yielded.
func (c *Client) All(ctx context.Context) iter.Seq2[*metav1.PartialObjectMetadata, error] {
	return func(yield func(*metav1.PartialObjectMetadata, error) bool) {
		for i, resource := range Resources {
			for next, more := "", true; more; more = next != "" {
				page, err := c.metadata(ctx, Kinds[i], next)
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
func (c *Client) metadata(ctx context.Context, kind, next string) (*metav1.PartialObjectMetadataList, error) {
	data, err := c.rest.Get().AbsPath(pathOf(kind, "", "")).SetHeader("Accept",
		"application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").
		Param("limit", fmt.Sprint(metadataPage)).Param("continue", next).Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	page := &metav1.PartialObjectMetadataList{}
	return page, json.Unmarshal(data, page)
}

// metadataPage is how many runs are listed at a time: only their metadata, so that their size does
// not matter.
const metadataPage = 500

// List gives a page of a kind's runs, as the API server sends it.
func (c *Client) List(ctx context.Context, kind string, limit int, next string) ([]byte, error) {
	return c.page(kind, limit, next).Do(ctx).Raw()
}

func (c *Client) page(kind string, limit int, next string) *rest.Request {
	return c.rest.Get().AbsPath(pathOf(kind, "", "")).Param("limit", strconv.Itoa(limit)).Param("continue", next)
}

// Listed is a run in a page, as the API server sends it. Its text is a part of the page's.
type Listed struct {
	Namespace, Name string
	Object          []byte
}

// ErrPageTooLarge is the error of a page that is larger than was allowed.
var ErrPageTooLarge = errors.New("the page is too large")

// Page lists at most limit runs of a kind whole, as they are now when next is empty, else as they
// were at the first page. It returns what gets the page after, empty if it is the last. The API
// server gives them in the order of namespaces and names. A page of more than maxBytes is not read
// to its end, and the error is ErrPageTooLarge.
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
				err := jsonscan.Wanted{"metadata": jsonscan.Wanted{"name": &l.Name, "namespace": &l.Namespace}}.Read(object)
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
