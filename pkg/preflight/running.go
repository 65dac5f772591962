package preflight

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
)

// ControllerWorkload is the name of Tekton's controller as a Deployment, in Tekton's own manifests,
// its operator's and OpenShift's. The operator makes it a StatefulSet if replicas share the work by
// ordinals.
const ControllerWorkload = "tekton-pipelines-controller"

// Running returns the users Tekton's controller runs as, by the service accounts of its Deployments
// and StatefulSets in all namespaces, sorted; nil if there is none under its usual name. Workloads
// scaled to zero do not count.
//
// Lists by name need the right to that name only. More than one user means that somebody made
// another workload look like Tekton's controller, or that there are two: callers must accept any of
// them.
func Running(ctx context.Context, client kubernetes.Interface) ([]string, error) {
	byName := metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector(metav1.ObjectNameField, ControllerWorkload).String(),
		ResourceVersion: "0", // the API server's cache is good enough
	}
	var users []string
	note := func(meta metav1.ObjectMeta, replicas *int32, spec corev1.PodSpec) {
		if isController(meta) && (replicas == nil || *replicas > 0) {
			users = append(users, "system:serviceaccount:"+meta.Namespace+":"+accountOf(spec))
		}
	}
	deployments, err := client.AppsV1().Deployments(metav1.NamespaceAll).List(ctx, byName)
	if err != nil {
		return nil, fmt.Errorf("listing Deployments named %s: %w", ControllerWorkload, err)
	}
	for _, d := range deployments.Items {
		note(d.ObjectMeta, d.Spec.Replicas, d.Spec.Template.Spec)
	}
	sets, err := client.AppsV1().StatefulSets(metav1.NamespaceAll).List(ctx, byName)
	if err != nil {
		return nil, fmt.Errorf("listing StatefulSets named %s: %w", ControllerWorkload, err)
	}
	for _, s := range sets.Items {
		note(s.ObjectMeta, s.Spec.Replicas, s.Spec.Template.Spec)
	}
	slices.Sort(users)
	return slices.Compact(users), nil
}

// isController checks the labels of Tekton's manifests (config/controller.yaml of
// tektoncd/pipeline).
func isController(meta metav1.ObjectMeta) bool {
	return meta.Name == ControllerWorkload &&
		meta.Labels["app.kubernetes.io/part-of"] == "tekton-pipelines" &&
		meta.Labels["app.kubernetes.io/component"] == "controller"
}

func accountOf(spec corev1.PodSpec) string {
	if spec.ServiceAccountName == "" {
		return "default"
	}
	return spec.ServiceAccountName
}
