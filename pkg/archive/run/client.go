package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// Resources are the archived resources, in the version that is read and stored. To archive another
// kind, add it
//
//   - here and to Kinds; to names.go, references.go and owners.go if they apply;
//   - to pkg/archive/manifest/outcome.go, for its reasons of cancellation;
//   - if it creates runs: to pkg/archive/index/parents.go and pkg/archive/retention/tree.go;
//   - to pkg/admission/protect/webhook.go and pkg/admission/fit/handler.go;
//   - to --kind in cmd/archiver/get.go;
//   - to config/archive/20-rbac.yaml, 60-protect.yaml and config/webhook/guard.yaml.
var Resources = []schema.GroupVersionResource{
	{Group: "tekton.dev", Version: "v1", Resource: "taskruns"},
	{Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"},
	{Group: "tekton.dev", Version: "v1beta1", Resource: "customruns"},
}

// Kinds are the kinds of Resources, in the same order.
var Kinds = []string{"TaskRun", "PipelineRun", "CustomRun"}

// Reference identifies a run in the cluster.
type Reference struct {
	// Kind is TaskRun, PipelineRun or CustomRun.
	Kind            string
	Namespace, Name string
}

// String returns, for logs and errors, for example "TaskRun team/build".
func (r Reference) String() string { return r.Kind + " " + r.Namespace + "/" + r.Name }

// ErrNoRun is the error for a Reference that no run can have. Nothing is sent for one: a name such
// as "../../../taskruns" would make the path that of all TaskRuns of the cluster.
var ErrNoRun = errors.New("no run can have this kind, namespace and name")

// check returns ErrNoRun unless a run can have the reference. Users may have written it.
func (r Reference) check() error {
	if !slices.Contains(Kinds, r.Kind) || !isName(r.Name) || !isLabel(r.Namespace) {
		return ErrNoRun
	}
	return nil
}

// path returns the run's path in the API, or ErrNoRun.
func (r Reference) path() (string, error) {
	if err := r.check(); err != nil {
		return "", err
	}
	return pathOf(r.Kind, "namespaces/"+r.Namespace+"/", "/"+r.Name), nil
}

// pathOf returns the API path of a kind's runs, with before and after around the resource's name.
func pathOf(kind, before, after string) string {
	for i, of := range Resources {
		if Kinds[i] == kind {
			return "/apis/" + of.Group + "/" + of.Version + "/" + before + of.Resource + after
		}
	}
	return "/kind-that-is-not-archived/" + kind
}

// maxObject is the most bytes that are read of one object. etcd takes 1.5 MiB of a request unless
// it is told otherwise, and an API server 3 MiB.
const maxObject = 8 << 20

// Client reads and changes runs. It returns objects undecoded, so that nothing is lost.
type Client struct {
	// objects is for requests that are answered with one object, of at most maxObject.
	objects, lists rest.Interface
}

// NewClient returns a Client.
func NewClient(config *rest.Config) (*Client, error) {
	config = rest.CopyConfig(config)
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	config.ContentType, config.AcceptContentTypes = "application/json", "application/json"
	lists, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make a client of runs: %w", err)
	}
	config.Wrap(func(to http.RoundTripper) http.RoundTripper { return bounded{to} })
	objects, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make a client of runs: %w", err)
	}
	return &Client{objects, lists}, nil
}

// bounded ends an answer after maxObject bytes, with an *http.MaxBytesError.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(request)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxObject)
	}
	return answer, err
}

// Get returns a run's JSON, nil if it does not exist.
func (c *Client) Get(ctx context.Context, ref Reference) ([]byte, error) {
	path, err := ref.path()
	if err != nil {
		return nil, err
	}
	data, err := c.objects.Get().AbsPath(path).Do(ctx).Raw()
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return data, err
}

// onlyMetadata makes the API server answer with an object's metadata only, not with its results.
const onlyMetadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

// patch sends a merge patch. It is no error if the run no longer exists.
func (c *Client) patch(ctx context.Context, ref Reference, body []byte) error {
	path, err := ref.path()
	if err != nil {
		return err
	}
	err = c.objects.Patch(types.MergePatchType).AbsPath(path).Param("fieldManager", "indelible-archiver").
		SetHeader("Accept", onlyMetadata).Body(body).Do(ctx).Error()
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// Delete deletes a run if UID and resource version match, and reports whether it did. It is no
// error if they do not or the run no longer exists.
func (c *Client) Delete(ctx context.Context, ref Reference, uid types.UID, resourceVersion string) (bool, error) {
	path, err := ref.path()
	if err != nil {
		return false, err
	}
	background := metav1.DeletePropagationBackground
	err = c.objects.Delete().AbsPath(path).Body(&metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &uid, ResourceVersion: &resourceVersion},
		PropagationPolicy: &background,
	}).Do(ctx).Error()
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return false, nil
	}
	return err == nil, err
}

// Unprotect removes the finalizer, without the annotations of an archived run. The API server notes
// who changed what in managedFields, for which a run may have no room either: then it removes those
// as well (https://kubernetes.io/docs/reference/using-api/server-side-apply/#clearing-managedfields).
func (c *Client) Unprotect(ctx context.Context, r *Run) error {
	if !r.Protected() {
		return nil
	}
	err := c.Change(ctx, r, map[string]any{"finalizers": r.OtherFinalizers()})
	if IsTooLarge(err) {
		return c.Change(ctx, r, map[string]any{"finalizers": r.OtherFinalizers(), managedFields: []struct{}{{}}})
	}
	return err
}

// tooLarge has what errors of a write say that is larger than etcd, or a request to it, may be. The
// API server answers with 500.
var tooLarge = []string{"etcdserver: request is too large", "trying to send message larger than max"}

// IsTooLarge reports whether a write failed because of the size of the whole object.
func IsTooLarge(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	return status.Status().Code == http.StatusRequestEntityTooLarge ||
		slices.ContainsFunc(tooLarge, func(text string) bool { return strings.Contains(status.Status().Message, text) })
}

// Change changes fields of a run's metadata, provided the run has not changed since it was read: a
// list of finalizers is replaced as a whole, and must not restore one that was removed meanwhile.
func (c *Client) Change(ctx context.Context, r *Run, metadata map[string]any) error {
	metadata["uid"], metadata["resourceVersion"] = r.UID, r.ResourceVersion
	body, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return err
	}
	return c.patch(ctx, r.Reference(), body)
}

// rehearsal is the annotation of Rehearse and Touch.
const rehearsal = "indelible.dev/rehearsal"

// Rehearse changes a run's metadata with dryRun, to see whether admission allows it. If there is no
// room for an annotation, it rehearses to remove one, which asks admission as well.
func (c *Client) Rehearse(ctx context.Context, ref Reference) error {
	rehearse := func(value any) error {
		return c.annotate(ctx, ref, map[string]any{rehearsal: value}, metav1.DryRunAll)
	}
	err := rehearse("true")
	if apierrors.IsInvalid(err) || IsTooLarge(err) {
		return rehearse(nil)
	}
	return err
}

// Touch changes a run and takes the change back, so that whoever watches it looks at it.
func (c *Client) Touch(ctx context.Context, ref Reference) error {
	if err := c.annotate(ctx, ref, map[string]any{rehearsal: "true"}, ""); err != nil {
		return err
	}
	return c.annotate(ctx, ref, map[string]any{rehearsal: nil}, "")
}

// annotate changes annotations of a run, whatever its state.
func (c *Client) annotate(ctx context.Context, ref Reference, annotations map[string]any, dryRun string) error {
	path, err := ref.path()
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return err
	}
	request := c.objects.Patch(types.MergePatchType).AbsPath(path).SetHeader("Accept", onlyMetadata)
	if dryRun != "" {
		request.Param("dryRun", dryRun)
	}
	return request.Body(body).Do(ctx).Error()
}
