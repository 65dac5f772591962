package harness

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	sigsyaml "sigs.k8s.io/yaml"
)

// CreateNamespace creates a namespace, and waits until pods can be created in it. An existing one
// is fine.
func (c *Cluster) CreateNamespace(ctx context.Context, name string, labels map[string]string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if _, err := c.Kube.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil &&
		!apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating namespace %s: %w", name, err)
	}
	// Pods are refused until the controller manager has made the default service account.
	return Eventually(ctx, fmt.Sprintf("service account default of namespace %s", name), func() (bool, error) {
		_, err := c.Kube.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, ignoreNotFound(err)
	})
}

// DeleteNamespace deletes a namespace with all that is in it, without waiting for the end of it.
func (c *Cluster) DeleteNamespace(ctx context.Context, name string) error {
	return ignoreNotFound(c.Kube.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{}))
}

// Create creates every object of a YAML text in a namespace: Tekton's, and what their pods mount.
// Unknown fields are errors.
func (c *Cluster) Create(ctx context.Context, namespace, text string) error {
	docs := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("splitting YAML: %w", err)
		}
		if err := c.createOne(ctx, namespace, doc); err != nil {
			return err
		}
	}
}

func (c *Cluster) createOne(ctx context.Context, namespace string, doc []byte) error {
	var meta metav1.TypeMeta
	if err := sigsyaml.Unmarshal(doc, &meta); err != nil {
		return fmt.Errorf("reading YAML: %w", err)
	}
	tekton := c.Tekton.TektonV1()
	switch meta.Kind {
	case "":
		return nil
	case "Task":
		return create(ctx, doc, tekton.Tasks(namespace).Create)
	case "Pipeline":
		return create(ctx, doc, tekton.Pipelines(namespace).Create)
	case "TaskRun":
		return create(ctx, doc, tekton.TaskRuns(namespace).Create)
	case "PipelineRun":
		return create(ctx, doc, tekton.PipelineRuns(namespace).Create)
	case "StepAction":
		return create(ctx, doc, c.Tekton.TektonV1beta1().StepActions(namespace).Create)
	case "PersistentVolumeClaim":
		return create(ctx, doc, c.Kube.CoreV1().PersistentVolumeClaims(namespace).Create)
	case "ConfigMap":
		return create(ctx, doc, c.Kube.CoreV1().ConfigMaps(namespace).Create)
	case "Secret":
		return create(ctx, doc, c.Kube.CoreV1().Secrets(namespace).Create)
	case "ServiceAccount":
		return create(ctx, doc, c.Kube.CoreV1().ServiceAccounts(namespace).Create)
	default:
		return fmt.Errorf("creating objects from YAML: no support for kind %q", meta.Kind)
	}
}

func create[T any](
	ctx context.Context, doc []byte, to func(context.Context, *T, metav1.CreateOptions) (*T, error),
) error {
	object := new(T)
	if err := sigsyaml.UnmarshalStrict(doc, object); err != nil {
		return fmt.Errorf("reading YAML of a %T: %w", object, err)
	}
	if _, err := to(ctx, object, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating a %T: %w", object, err)
	}
	return nil
}

// TaskRun reads a TaskRun.
func (c *Cluster) TaskRun(ctx context.Context, namespace, name string) (*pipelinev1.TaskRun, error) {
	return c.Tekton.TektonV1().TaskRuns(namespace).Get(ctx, name, metav1.GetOptions{})
}

// PutSparse is the request by which a publisher writes: a PUT of no more than a TaskRun's name,
// namespace and UID, and a status, given as JSON.
func (c *Cluster) PutSparse(namespace, name string, uid types.UID, status string) *rest.Request {
	body := fmt.Sprintf(
		`{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":%q,"namespace":%q,"uid":%q},"status":%s}`,
		name, namespace, uid, status)
	return c.Tekton.TektonV1().RESTClient().Put().AbsPath("apis/tekton.dev/v1", "namespaces", namespace,
		"taskruns", name,
		"status").
		SetHeader("Content-Type", "application/json").Body([]byte(body))
}

// BoundToken returns a token of a service account that is bound to a live pod, as the pod itself
// holds one. An empty pod gives a token that is bound to nothing.
func (c *Cluster) BoundToken(ctx context.Context, namespace, serviceAccount, pod string) (string, error) {
	request := &authenticationv1.TokenRequest{}
	if pod != "" {
		live, err := c.Kube.CoreV1().Pods(namespace).Get(ctx, pod, metav1.GetOptions{})
		if err != nil {
			return "", fmt.Errorf("reading the pod a token is to be bound to: %w", err)
		}
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{
			APIVersion: "v1", Kind: "Pod", Name: pod, UID: live.UID,
		}
	}
	got, err := c.Kube.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, serviceAccount, request,
		metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("making a token of service account %s/%s: %w", namespace, serviceAccount, err)
	}
	return got.Status.Token, nil
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
