package oracle

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/indelible-ci/indelible/pkg/admission/guard"
)

// The guard never allows what the policy denies: if it did, a write would be refused with the
// policy's short message instead of the guard's or, worse, one of the two would be wrong. What is
// compared is the object that would be stored: with the guard's patch applied, and metadata and
// spec restored as by the status subresource.
//
// Conversely, the guard may be stricter, in the ways listed in laxities.
func TestGuardNeverAllowsWhatThePolicyDenies(t *testing.T) {
	cases := 5000
	if testing.Short() {
		cases = 1000
	}
	j := newJudges(t)
	for seed := range cases {
		j.compare(t, newWrite(t, random(uint64(seed))))
	}
	t.Logf("%d writes: %d allowed by both, %d denied by both, %d not fit for Tekton's schema", cases, j.allowed,
		j.denied,
		j.refused)
	for _, l := range laxities {
		t.Logf("%d denied by the guard only: %s", j.stricter[l.why], l.why)
	}
	if j.allowed < cases/20 || j.denied < cases/20 {
		t.Error("the writes are too much alike")
	}
}

func FuzzGuardNeverAllowsWhatThePolicyDenies(f *testing.F) {
	for seed := range 40 {
		f.Add(random(uint64(seed)).data[:48])
	}
	j := newJudges(f)
	f.Fuzz(func(t *testing.T, data []byte) { j.compare(t, newWrite(t, &chooser{data})) })
}

// laxities are the guard's denials of what the policy alone would let pass, and why it may: by the
// writer, or "" for any, and a part of the message.
var laxities = []struct{ writer, message, why string }{
	{"recycled", "no longer exists with the UID", "a policy cannot look up a Pod (docs/threat-model.md)"},
	{"like team", "is not bound to a pod",
		"the policy looks at the beginning of a name that no API server makes: namespaces have no colon"},
	{"", "which the Task does not declare, or declares with a value:",
		"the policy does not tell a Task result that takes its value from a step from others"},
	{"", "the value must be a string, the text of the result's file",
		"the policy sees the form that is stored, which the guard makes of the text"},
}

// laxity names the class of a denial, "" if there is none.
func laxity(writer, message string) string {
	for _, l := range laxities {
		if (l.writer == "" || l.writer == writer) && strings.Contains(message, l.message) {
			return l.why
		}
	}
	return ""
}

type judges struct {
	guard  admission.Handler
	policy policy
	crd    crd
	// refused are the writes that do not fit Tekton's schema, whatever guard and policy say.
	allowed, denied, refused int
	stricter                 map[string]int
}

func newJudges(t testing.TB) *judges {
	return &judges{guard: guard.NewGuard(options()), policy: loadPolicy(t), crd: loadCRD(t), stricter: map[string]int{}}
}

func (j *judges) compare(t *testing.T, w write) {
	t.Helper()
	j.crd.prune(w.old)
	j.crd.prune(w.new)
	old, err := json.Marshal(w.old)
	must(t, err)
	incoming, err := json.Marshal(w.new)
	must(t, err)
	final, resp := j.ask(t, w, old, incoming)
	if final == nil {
		// What the policy would say without the guard, to the object as it came.
		raw := subresource(w.old, w.new)
		switch {
		case j.crd.refuses(raw) != "":
			j.refused++
			return
		case j.policy.denies(w.who, w.version, w.old, raw) == "":
			why := laxity(w.name, resp.Result.Message)
			if why == "" {
				t.Fatalf("the policy allows what the guard denies (%s), for no known reason\n%s",
					resp.Result.Message, w)
			}
			j.stricter[why]++
		default:
			j.denied++
		}
		return
	}
	after := subresource(w.old, decoded(t, final))
	j.crd.prune(after)
	if j.crd.refuses(after) != "" {
		j.refused++
		return
	}
	if why := j.policy.denies(w.who, w.version, w.old, after); why != "" {
		t.Fatalf("the guard allows what the policy denies (%s)\n%s\nfinal: %.3000s", why, w, final)
	}
	j.allowed++
}

func (j *judges) ask(t *testing.T, w write, old, incoming []byte) ([]byte, *admission.Response) {
	t.Helper()
	handler := handlerWith(j.guard, func(req *admissionv1.AdmissionRequest) {
		req.RequestResource = &metav1.GroupVersionResource{Group: "tekton.dev", Version: w.version,
			Resource: "taskruns"}
	})
	return admit(t, handler, w.who, old, incoming)
}

// subresource is what an update of status makes of an object: everything else stays as it is
// stored.
func subresource(old, new map[string]any) map[string]any {
	out := maps.Clone(old)
	delete(out, "status")
	if status, ok := new["status"]; ok {
		out["status"] = status
	}
	return out
}
