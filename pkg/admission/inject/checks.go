package inject

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/indelible-ci/indelible/pkg/result"
)

// The order of checks. Everything here reads the request; nothing changes it.
//
//  1. Not the creation of a Pod, or undecodable: allowed.
//  2. Publishing (planPublishing): the first reason that applies leaves the results to Tekton:
//     not_taskrun, opted_out, already_injected, windows, not_entrypoint, arguments, sidecar_logs,
//     spire, no_results, unguarded, error, collision.
//  3. Not a TaskRun's Pod: allowed.
//  4. indelible.dev/result-size (check_resultsize.go): refused if more is declared than can be
//     published.
//  5. Unless opted out or on Windows: scripts are split (scripts.go), then other strings that are
//     too long refuse the Pod (check_strings.go).
//
// decide makes two independent plans: how the Pod's results are published, and how it receives the
// large values it consumes, which applies to Pods without results, too.
func (h *handler) decide(ctx context.Context, req admission.Request, log logr.Logger) decision {
	if req.Operation != admissionv1.Create || req.Resource.Group != "" || req.Resource.Resource != "pods" ||
		req.SubResource != "" {
		return decision{skipped: &skip{reason: reasonNotTaskRun}}
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(req.Object.Raw, pod); err != nil {
		return decision{skipped: failed(log, fmt.Errorf("decode pod: %w", err))}
	}
	settings := h.Settings()
	d := decision{pod: pod}
	d.publish, d.skipped = h.planPublishing(ctx, pod, namespaceOf(req, pod), settings, log)
	if d.skipped.is(reasonNotTaskRun) {
		return d
	}
	d.refused = checkResultSize(pod, d.skipped, settings.Limits)
	if d.refused == nil && !d.skipped.is(reasonOptedOut) && !d.skipped.is(reasonWindows) {
		d.scripts = splitScripts(pod)
		d.refused = checkStrings(pod, d.scripts)
	}
	return d
}

// planPublishing returns a plan, or the first reason to leave the Pod's results to Tekton.
func (h *handler) planPublishing(
	ctx context.Context, pod *corev1.Pod, namespace string, settings Settings, log logr.Logger,
) (*plan, *skip) {
	if s := skipPod(pod); s != nil {
		return nil, s
	}
	if !allEntrypoints(pod) {
		return nil, &skip{reasonNotEntrypoint, "a step's command is not " + tektonEntrypoint, true}
	}
	steps, err := readSteps(pod)
	if err != nil {
		return nil, &skip{reasonArguments, "cannot read the arguments of Tekton's entrypoint: " + err.Error(), true}
	}
	if s := skipSteps(pod, steps); s != nil {
		return nil, s
	}
	if h.Guarded != nil && h.Guarded() != nil {
		return nil, &skip{reasonUnguarded,
			"what guards the writing of results is not all in place, as the readiness of indelible-webhook says", true}
	}
	if settings.Image == "" {
		return nil, failed(log, errors.New("no publisher image is configured"))
	}
	delivery, err := chooseDelivery(ctx, settings.Delivery, h.Cluster, log)
	if err != nil {
		return nil, failed(log, fmt.Errorf("choose delivery: %w", err))
	}
	p := newPlan(pod, namespace, steps, delivery, settings)
	if what := findCollision(pod, p); what != "" {
		return nil, &skip{reasonCollision, what, true}
	}
	return p, nil
}

// failed reports an internal error. A Pod is worth more than its injection, so it is allowed.
func failed(log logr.Logger, err error) *skip {
	log.Error(err, "cannot inject pod")
	return &skip{reasonError, "internal error: " + err.Error(), true}
}

// namespaceOf prefers the request's namespace: a Pod being created may not have its own yet.
func namespaceOf(req admission.Request, pod *corev1.Pod) string {
	if req.Namespace != "" {
		return req.Namespace
	}
	return pod.Namespace
}

// skipPod applies the checks that need no parsing of arguments.
func skipPod(pod *corev1.Pod) *skip {
	switch {
	case taskRunOf(pod) == "":
		return &skip{reason: reasonNotTaskRun}
	case pod.Annotations[result.EnabledKey] == result.Disabled:
		return &skip{reason: reasonOptedOut, because: "the annotation " + result.EnabledKey + " disables it"}
	case alreadyInjected(pod):
		return &skip{reason: reasonAlreadyInjected}
	case isWindows(pod):
		return &skip{reason: reasonWindows, because: "it runs on Windows"}
	}
	return nil
}

// skipSteps applies the checks on the parsed arguments.
func skipSteps(pod *corev1.Pod, steps []step) *skip {
	switch {
	case usesSidecarLogs(pod, steps):
		return &skip{reason: reasonSidecarLogs, because: "Tekton is configured to read results from a sidecar's log"}
	case usesSPIRE(pod, steps):
		return &skip{reason: reasonSPIRE, because: "Tekton is configured to sign results with SPIRE"}
	case !hasResults(steps):
		return &skip{reason: reasonNoResults}
	}
	return nil
}
