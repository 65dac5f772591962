package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Report is the outcome of the comparison.
type Report struct {
	// Refusals are reasons not to install, Warnings what the administrator should know. Each says
	// what to do.
	Refusals, Warnings []string
}

func (r *Report) refuse(format string, args ...any) {
	r.Refusals = append(r.Refusals, fmt.Sprintf(format, args...))
}

func (r *Report) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

// Check compares an installation with a cluster. It returns an error if the cluster could not be
// queried.
func Check(ctx context.Context, client kubernetes.Interface, i Installation) (Report, error) {
	var r Report
	r.checkAgreement(i)
	if err := r.checkAPI(client); err != nil {
		return r, err
	}
	running, err := Running(ctx, client)
	if err != nil {
		return r, err
	}
	r.checkController(i, running)
	return r, r.checkSidecarLogs(ctx, client, running)
}

// Rule "agreement": all manifests name the same users. They differ in an overlay that changes the
// key without listing the transformer again.
func (r *Report) checkAgreement(i Installation) {
	for _, place := range i.Places {
		if len(place.Users) == 0 {
			r.refuse("%s does not say who Tekton's controller is, in the form '<name>'.split(' ')", place.Object)
		}
		for _, users := range place.Users {
			if !SameUsers(users, i.Controllers) {
				r.refuse("%s takes %s for Tekton's controller, but the key `controller` of the ConfigMap %s says %s: "+
					"does the overlay list config/transformers/controller?",
					place.Object, strings.Join(users, " "), configMap, strings.Join(i.Controllers, " "))
				break
			}
		}
	}
}

// Rule "API": the API server has ValidatingAdmissionPolicy (Kubernetes 1.30 or later).
func (r *Report) checkAPI(client kubernetes.Interface) error {
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("ask for the API server's version: %w", err)
	}
	resources, err := client.Discovery().ServerResourcesForGroupVersion(admissionv1.SchemeGroupVersion.String())
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("ask what %s has: %w", admissionv1.SchemeGroupVersion, err)
	}
	isPolicy := func(a metav1.APIResource) bool { return a.Name == "validatingadmissionpolicies" }
	if resources == nil || !slices.ContainsFunc(resources.APIResources, isPolicy) {
		r.refuse("this API server (%s) has no ValidatingAdmissionPolicy in %s: Kubernetes 1.30 or later is needed",
			version.GitVersion, admissionv1.SchemeGroupVersion)
	}
	return nil
}

// Rule "controller": the trusted user is the one that Tekton's controller runs as. Otherwise no
// TaskRun of the cluster would start or end.
func (r *Report) checkController(i Installation, running []string) {
	if len(running) == 0 {
		r.warn("no Deployment or StatefulSet %s of Tekton's runs here, so whether %s is its controller is unknown. "+
			"If Tekton's controller has another name, set CONTROLLER",
			ControllerWorkload, strings.Join(i.Controllers, " "))
		return
	}
	if _, lacking := Lacking([][]string{i.Controllers}, running); lacking {
		r.refuse("Tekton's controller here is %s, but %s would be installed as its name: "+
			"no TaskRun of the cluster would start or end. Run with CONTROLLER=%s, or use an overlay with that key "+
			"`controller` (docs/operations.md)",
			strings.Join(running, " or "), strings.Join(i.Controllers, " "), running[0])
	}
}

// Rule "sidecar logs": with that Tekton setting, results take another path and pods are left alone.
func (r *Report) checkSidecarLogs(ctx context.Context, client kubernetes.Interface, running []string) error {
	for _, user := range running {
		namespace := strings.Split(user, ":")[2]
		flags, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, "feature-flags", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read Tekton's feature flags: %w", err)
		}
		if flags.Data["results-from"] == "sidecar-logs" {
			r.warn("Tekton takes results from sidecar logs here (results-from in ConfigMap feature-flags of %s): "+
				"pods are left alone, and results keep Tekton's own limit. Set it to termination-message to use Indelible",
				namespace)
		}
	}
	return nil
}
