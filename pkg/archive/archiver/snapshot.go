package archiver

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// snapshot reads a run from the API server, nil if it is gone.
func (a *Archiver) snapshot(ctx context.Context, ref Reference) (*run, error) {
	object, err := a.objects.Resource(ref.Resource).Namespace(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	text, err := json.Marshal(object.Object)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return parse(ref.Resource, text)
}
