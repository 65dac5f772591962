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

// bypassedAnnotation on a namespace has the former value of excludeLabel, "-" if there was none.
// It is written together with the label, so that whoever is killed leaves what it takes to put the
// label back.
const bypassedAnnotation = "indelible.dev/tekton-admission-before"

// noLabel is the annotation's value for a namespace without the label. No label has this value.
const noLabel = "-"

// bypass keeps Tekton's admission webhooks away from namespaces in which they refuse to let
// finalizers be removed, until it is closed. Indelible's webhooks and policies stay in force.
type bypass struct {
	kube kubernetes.Interface
	mu   sync.Mutex
	// before has the label's former value per namespace (bypassedAnnotation).
	before map[string]string
}

// newBypass also takes over the namespaces that a bypass which was killed has left open.
func newBypass(ctx context.Context, config *rest.Config) (*bypass, error) {
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client of namespaces: %w", err)
	}
	b := &bypass{kube: kube, before: map[string]string{}}
	all, err := kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: excludeLabel})
	if err != nil {
		return nil, fmt.Errorf("list namespaces that %s excludes: %w", excludeLabel, err)
	}
	for i := range all.Items {
		if before, ok := all.Items[i].Annotations[bypassedAnnotation]; ok {
			b.before[all.Items[i].Name] = before
		}
	}
	return b, nil
}

// isOpen reports whether admission is kept away from a namespace.
func (b *bypass) isOpen(namespace string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, open := b.before[namespace]
	return open
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
	before, ok := ns.Labels[excludeLabel]
	if !ok {
		before = noLabel
	}
	if err := b.label(ctx, namespace, "true", before); err != nil {
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
		var label any = before
		if before == noLabel {
			label = nil
		}
		err := b.label(context.WithoutCancel(ctx), namespace, label, nil)
		if err != nil && !apierrors.IsNotFound(err) {
			failed = errors.Join(failed,
				fmt.Errorf("%w: Tekton's admission stays away from the namespace until its label %s "+
					"is as it was; run the command again", err, excludeLabel))
			continue
		}
		delete(b.before, namespace)
	}
	return failed
}

// label sets the label and the annotation of a namespace, nil to remove it.
func (b *bypass) label(ctx context.Context, namespace string, value, before any) error {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"labels": map[string]any{excludeLabel: value}, "annotations": map[string]any{bypassedAnnotation: before},
	}})
	if err != nil {
		return err
	}
	_, err = b.kube.CoreV1().Namespaces().Patch(ctx, namespace, types.MergePatchType, body,
		metav1.PatchOptions{FieldManager: "indelible-archiver"})
	if err != nil {
		return fmt.Errorf("label namespace %s: %w", namespace, err)
	}
	return nil
}
