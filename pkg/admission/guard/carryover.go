package guard

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/indelible-ci/indelible/pkg/result"
)

// carryOver puts stored step results back into a status that the controller has rebuilt. With each
// write the controller derives status.steps from the pod's container states, and step results from
// termination messages, which no longer carry any. It returns how many results it put back.
func carryOver(stored, incoming status) (ops []operation, preserved int) {
	if !incoming.present || isRetry(stored, incoming) {
		return nil, 0
	}
	return putBackSteps("/status/steps", stored.steps, incoming.steps)
}

// putBackSteps puts the results of stored steps back into the list of steps at path.
func putBackSteps(path string, stored, incoming steps) (ops []operation, preserved int) {
	want := slices.Clone(incoming.list)
	index := indexOf(want)
	for _, old := range stored.list {
		if len(old.results.list) == 0 {
			continue
		}
		i, known := index[old.name]
		if !known {
			want = append(want, old)
			preserved += len(old.results.list)
			continue
		}
		list, n := putBack(old.results.list, want[i].results.list)
		want[i].results.list = list
		preserved += n
	}
	if preserved == 0 {
		return nil, 0
	}
	return patchList(path, incoming.present, incoming.list, want), preserved
}

// carryOverHandler answers /carry-over.
type carryOverHandler struct{ Options }

// Handle never denies, and the webhook's failure policy is Ignore: what it adds is useful, but must
// not delay a status.
func (h *carryOverHandler) Handle(ctx context.Context, req admission.Request) admission.Response {
	r := requesterOf(req.UserInfo, h.Settings().Controllers)
	if r.kind != requesterController || !inScope(&req.AdmissionRequest) {
		return allowed(nil, nil)
	}
	stored, incoming, d := decodeRequest(&req.AdmissionRequest)
	if d != nil {
		h.Log.Info("Carry-over could not read a request, and lets it pass unchanged",
			"namespace", req.Namespace, "taskrun", req.Name, "reason", d.message)
		return allowed(nil, nil)
	}
	ops, preserved := carryOver(stored.status, incoming.status)
	explained, event := explain(stored.status, incoming.status)
	if !isDryRun(&req.AdmissionRequest) {
		h.Metrics.restored.Add(float64(preserved))
		if event != "" {
			h.Metrics.explanations.Inc()
		}
		if event != "" && h.Events != nil && h.Authenticated(ctx) {
			h.Events.Event(reference(stored), corev1.EventTypeWarning, result.TerminationReasonNotPublished, event)
		}
	}
	return allowed(append(ops, explained...), nil)
}

// reference returns the object reference for events about a TaskRun.
func reference(tr taskRun) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "tekton.dev/v1", Kind: "TaskRun", Namespace: tr.namespace, Name: tr.name, UID: types.UID(tr.uid),
		ResourceVersion: tr.metadata.text("resourceVersion"),
	}
}
