package archiver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// excludeLabel on a namespace keeps Knative's admission webhooks from it, and with them Tekton's
// (https://github.com/tektoncd/pipeline, config/500-webhooks.yaml).
const excludeLabel = "webhooks.knative.dev/exclude"

// bypass keeps Tekton's admission webhooks away from namespaces in which they refuse to let
// finalizers be removed, until it is closed. Indelible's webhooks and policies stay in force.
type bypass struct {
	kube kubernetes.Interface
	mu   sync.Mutex
	// before has the label's former value per namespace, nil if it was absent.
	before map[string]*string
}

func newBypass(config *rest.Config) (*bypass, error) {
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client of namespaces: %w", err)
	}
	return &bypass{kube: kube, before: map[string]*string{}}, nil
}

// open labels a namespace. API servers take a moment to notice.
func (b *bypass) open(ctx context.Context, namespace string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.before[namespace]; ok {
		return nil
	}
	ns, err := b.kube.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read namespace %s: %w", namespace, err)
	}
	var before *string
	if value, ok := ns.Labels[excludeLabel]; ok {
		before = &value
	}
	excluded := "true"
	if err := b.label(ctx, namespace, &excluded); err != nil {
		return err
	}
	b.before[namespace] = before
	return nil
}

// close restores all labels, even if ctx has ended.
func (b *bypass) close(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var failed error
	for namespace, before := range b.before {
		if err := b.label(context.WithoutCancel(ctx), namespace, before); err != nil {
			failed = errors.Join(failed,
				fmt.Errorf("%w: Tekton's admission stays away from the namespace until its label %s "+
					"is as it was", err, excludeLabel))
			continue
		}
		delete(b.before, namespace)
	}
	return failed
}

func (b *bypass) label(ctx context.Context, namespace string, value *string) error {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{excludeLabel: value}}})
	if err != nil {
		return err
	}
	_, err = b.kube.CoreV1().Namespaces().Patch(ctx, namespace, types.MergePatchType, body,
		metav1.PatchOptions{FieldManager: "indelible-archiver"})
	if err != nil && (!apierrors.IsNotFound(err) || value != nil) {
		return fmt.Errorf("label namespace %s: %w", namespace, err)
	}
	return nil
}
