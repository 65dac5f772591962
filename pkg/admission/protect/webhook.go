package protect

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Options configure the handler.
type Options struct {
	// Metrics may be nil.
	Metrics *Metrics
	Log     logr.Logger
}

type handler struct{ Options }

// New returns the handler of /protect, for runs being created.
func New(o Options) admission.Handler {
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return &handler{Options: o}
}

// outcome is what was decided about a run, and why if it was left alone.
type outcome string

const (
	protected outcome = "protected"
	// Left alone.
	already    outcome = "already"    // it has the finalizer
	optedOut   outcome = "opted-out"  // its annotation says so
	notARun    outcome = "not-a-run"  // another resource or operation: the webhook configuration is not ours
	unreadable outcome = "unreadable" // its metadata cannot be decoded
)

var outcomes = []outcome{protected, already, optedOut, notARun, unreadable}

// Handle decides about one run, answers, counts and logs.
func (h *handler) Handle(_ context.Context, req admission.Request) admission.Response {
	start := time.Now()
	defer func() { h.Metrics.took(time.Since(start)) }()
	log := h.Log.WithValues("resource", req.Resource.Resource, "namespace", req.Namespace, "name", req.Name)

	patch, out, err := decide(req)
	h.Metrics.count(out)
	if err != nil {
		log.Error(err, "cannot read the metadata of a run")
	} else {
		log.V(1).Info("run seen at its creation", "outcome", out)
	}
	return admission.Patched("", patch...)
}

// decide adds the finalizer unless a check says otherwise. In any case it removes the marks of an
// archived run: a run being created is in no archive, and the marks come from the YAML of another
// run.
func decide(req admission.Request) ([]jsonpatch.Operation, outcome, error) {
	if req.Operation != admissionv1.Create || !isRun(req.Resource) || req.SubResource != "" {
		return nil, notARun, nil
	}
	var run struct {
		Metadata *struct {
			Finalizers  []string          `json:"finalizers"`
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	// Field names are case-sensitive, as in the API server and unlike in encoding/json.
	if err := json.Unmarshal(req.Object.Raw, &run); err != nil {
		return nil, unreadable, err
	}
	if run.Metadata == nil {
		return nil, unreadable, errors.New("there is no metadata")
	}
	var patch []jsonpatch.Operation
	for _, mark := range result.Marks(run.Metadata.Annotations) {
		patch = append(patch,
			jsonpatch.NewOperation("remove", "/metadata/annotations/"+strings.ReplaceAll(mark, "/", "~1"),
				nil))
	}
	switch {
	case run.Metadata.Annotations[result.ArchiveKey] == result.Disabled:
		return patch, optedOut, nil
	case slices.Contains(run.Metadata.Finalizers, result.ArchiveKey):
		return patch, already, nil
	}
	return append(patch, addition(run.Metadata.Finalizers)), protected, nil
}

func isRun(r metav1.GroupVersionResource) bool {
	return r.Group == "tekton.dev" && slices.Contains([]string{"taskruns", "pipelineruns", "customruns"}, r.Resource)
}

// addition appends the finalizer, as a JSON patch (RFC 6902). "add" of the whole list fits a
// missing, null or empty list.
func addition(finalizers []string) jsonpatch.Operation {
	if len(finalizers) == 0 {
		return jsonpatch.NewOperation("add", "/metadata/finalizers", []string{result.ArchiveKey})
	}
	return jsonpatch.NewOperation("add", "/metadata/finalizers/-", result.ArchiveKey)
}
