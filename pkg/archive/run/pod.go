package run

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// Controls reports whether a run controls a pod. A status may name any pod of its namespace, also
// one whose log its author may not read, so this decides whose log may be read for a run. It is the
// run's UID that counts: Tekton gives the pod of another attempt another name, but makes a deleted
// pod again under its name, and another run may have the name of a deleted one.
func Controls(run types.UID, pod metav1.Object) bool {
	owner := metav1.GetControllerOfNoCopy(pod)
	return owner != nil && owner.UID == run
}

// ErrForeignPod says that a pod exists, and that the run does not control it.
var ErrForeignPod = errors.New("it is not the run's pod")

// GetPod returns a pod that a run's status names. If there is none, the error is NotFound; if
// another one has the name, it is ErrForeignPod as well: for the run, its pod does not exist.
func GetPod(
	ctx context.Context, kube kubernetes.Interface, namespace, name string, run types.UID,
) (*corev1.Pod, error) {
	if !isName(name) {
		return nil, apierrors.NewNotFound(corev1.Resource("pods"), "") // nothing is sent for it
	}
	pod, err := kube.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	if !Controls(run, pod) {
		return nil, fmt.Errorf("%w: %w", ErrForeignPod, apierrors.NewNotFound(corev1.Resource("pods"), name))
	}
	return pod, nil
}
