package oversize

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/result"
)

// ReasonTooLarge is the reason of the event about a cancelled run.
const ReasonTooLarge = "RunTooLarge"

// pageSize is how many TaskRuns are read at a time: one may have 1.4 MiB, and takes about five
// times that to decode.
const pageSize = 5

// resources by kind.
var resources = map[string]schema.GroupVersionResource{
	"TaskRun":     {Group: "tekton.dev", Version: "v1", Resource: "taskruns"},
	"PipelineRun": {Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"},
}

// end cancels a run that is as large as the event about it says. A run that was deleted, has ended,
// or is too small for that is left alone.
func (o Options) end(ctx context.Context, s subject) error {
	r, err := o.get(ctx, s)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if r.over() {
		return nil
	}
	text, err := o.wordsFor(ctx, s, r)
	if err != nil {
		return err
	}
	if text == "" {
		o.Log.Info("Ignored an event: the run it calls too large is not", "run", s.String())
		return nil
	}
	if err := o.cancel(ctx, s, r, text); err != nil {
		return err
	}
	if s.kind == "PipelineRun" {
		if err := o.cancelChildren(ctx, s); err != nil {
			return err
		}
	}
	o.Log.Info("Cancelled a run that is too large for Tekton to write", "run", s.String(), "reason", text)
	o.Events.Event(&corev1.ObjectReference{
		APIVersion: "tekton.dev/v1", Kind: s.kind, Namespace: s.namespace, Name: s.name, UID: types.UID(r.Metadata.UID),
	}, corev1.EventTypeWarning, ReasonTooLarge, text)
	return nil
}

// cancelChildren cancels the TaskRuns of a PipelineRun. Tekton cancels those named in the
// PipelineRun's status (cancelPipelineRun), which could not be stored.
func (o Options) cancelChildren(ctx context.Context, s subject) error {
	children, err := o.children(ctx, s)
	if err != nil {
		return err
	}
	for _, child := range children {
		if child.over() {
			continue
		}
		of := subject{"TaskRun", s.namespace, child.Metadata.Name}
		if err := o.cancel(ctx, of, child, fmt.Sprintf("its PipelineRun %q was too large for Tekton to write",
			s.name)); err != nil {
			return err
		}
	}
	return nil
}

func (o Options) cancel(ctx context.Context, s subject, r run, text string) error {
	patch, err := json.Marshal(cancellation(s.kind, r.Metadata.UID, text))
	if err != nil {
		return fmt.Errorf("encode a patch: %w", err)
	}
	_, err = o.Runs.Resource(resources[s.kind]).Namespace(s.namespace).Patch(ctx, s.name, types.MergePatchType, patch,
		metav1.PatchOptions{FieldManager: "indelible-archiver"})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("cancel %s: %w", s, err)
	}
	return nil
}

// cancellation returns a merge patch that cancels the run with that UID.
func cancellation(kind, uid, text string) map[string]any {
	if kind == "TaskRun" {
		return map[string]any{"metadata": map[string]any{"uid": uid},
			"spec": map[string]any{"status": "TaskRunCancelled",
				"statusMessage": text}}
	}
	return map[string]any{
		"metadata": map[string]any{"uid": uid, "annotations": map[string]any{result.TooLargeAnnotation: text}},
		"spec":     map[string]any{"status": "Cancelled"},
	}
}

// wordsFor returns the message about a run, "" if it is not too large.
func (o Options) wordsFor(ctx context.Context, s subject, r run) (string, error) {
	if s.kind == "TaskRun" {
		return wordsOf(r), nil
	}
	children, err := o.children(ctx, s)
	if err != nil {
		return "", err
	}
	return words(bodiesOf(r, children)), nil
}

// children returns the TaskRuns of a PipelineRun.
func (o Options) children(ctx context.Context, s subject) (children []run, err error) {
	page := metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + s.name, Limit: pageSize}
	for {
		list, err := o.Runs.Resource(resources["TaskRun"]).Namespace(s.namespace).List(ctx, page)
		if err != nil {
			return nil, fmt.Errorf("list the TaskRuns of %s: %w", s, err)
		}
		for i := range list.Items {
			raw, err := list.Items[i].MarshalJSON()
			if err != nil {
				return nil, fmt.Errorf("encode a TaskRun: %w", err)
			}
			child, err := decode(raw)
			if err != nil {
				return nil, err
			}
			child.Spec.Params, child.Spec.TaskSpec, child.Status.TaskSpec = nil, nil, nil // only its results count
			children = append(children, child)
		}
		if page.Continue = list.GetContinue(); page.Continue == "" {
			return children, nil
		}
	}
}

func (o Options) get(ctx context.Context, s subject) (run, error) {
	object, err := o.Runs.Resource(resources[s.kind]).Namespace(s.namespace).Get(ctx, s.name, metav1.GetOptions{})
	if err != nil {
		return run{}, err
	}
	raw, err := object.MarshalJSON()
	if err != nil {
		return run{}, fmt.Errorf("encode a run: %w", err)
	}
	return decode(raw)
}
