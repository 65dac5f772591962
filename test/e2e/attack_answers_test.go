//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/test/harness"
)

// mark is in every readable part of the victim: parameters, annotations, labels, the Task, results.
const mark = "MARKED"

// probe is one request about the victim.
type probe struct {
	verb, api, at string // at is the path below the namespace
	query         string // name=value&name=value
	accept        string
	contentType   string
	body          string
}

func (p probe) String() string {
	return fmt.Sprintf("%s %s %s?%s, accept %q, %s %.60s", p.verb, p.api, p.at, p.query, p.accept,
		p.contentType, p.body)
}

// probes are all verbs, encodings and subresources that a pod can reach, with all kinds of bodies.
// uid is the victim's.
func probes(uid types.UID) []probe {
	const victim = "taskruns/victim"
	accepts := []string{"application/json", "application/yaml", "application/cbor",
		"application/vnd.kubernetes.protobuf",
		"application/json;as=Table;v=v1;g=meta.k8s.io", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}
	var all []probe
	for _, api := range []string{tektonV1, tektonV1beta1} {
		for _, accept := range accepts {
			for _, at := range []string{victim, victim + "/status", victim + "/scale", "taskruns"} {
				for _, query := range []string{"", "watch=true&timeoutSeconds=1", "resourceVersion=0",
					"fieldSelector=metadata.name%3Dvictim"} {
					all = append(all, probe{verb: http.MethodGet, api: api, at: at, query: query, accept: accept})
				}
			}
			all = append(all,
				probe{verb: http.MethodDelete, api: api, at: victim, query: "dryRun=All", accept: accept,
					contentType: "application/json"},
				probe{verb: http.MethodDelete, api: api, at: "taskruns", query: "dryRun=All", accept: accept,
					contentType: "application/json"},
				probe{verb: http.MethodPost, api: api, at: "taskruns", query: "dryRun=All", accept: accept,
					contentType: "application/json", body: whole(uid, `,"spec":{}`)},
			)
		}
		for _, body := range bodies(uid) {
			for _, query := range []string{"", "dryRun=All", "fieldValidation=Strict", "fieldValidation=Warn",
				"fieldManager=" +
					strings.Repeat("x", 200)} {
				for _, at := range []string{victim, victim + "/status"} {
					for _, contentType := range []string{"application/json", "application/yaml", "application/cbor",
						"application/vnd.kubernetes.protobuf"} {
						all = append(all,
							probe{verb: http.MethodPut, api: api, at: at, query: query, contentType: contentType,
								body: body})
					}
				}
			}
			for _, accept := range accepts {
				all = append(all, probe{verb: http.MethodPut, api: api, at: victim + "/status", accept: accept,
					contentType: "application/json", body: body})
			}
			for _, contentType := range []types.PatchType{types.MergePatchType, types.JSONPatchType,
				types.StrategicMergePatchType, types.ApplyYAMLPatchType, types.ApplyCBORPatchType} {
				all = append(all, probe{verb: http.MethodPatch, api: api, at: victim + "/status",
					query: "fieldManager=e2e&fieldValidation=Strict", contentType: string(contentType), body: body})
			}
		}
	}
	return all
}

// bodies are valid and broken forms of a TaskRun.
func bodies(uid types.UID) []string {
	return []string{
		``, `{`, `[]`, `null`, `1`, `{"kind":1}`, `{"metadata":{"labels":1}}`,
		`[{"op":"test","path":"/spec/params/0/value","value":"x"}]`,
		whole(uid, ``), whole(uid, `,"status":{}`), whole(uid, `,"status":{"results":[{"name":"text","value":"v"}]}`),
		whole("", ``), whole("wrong", ``),
		whole(uid, `,"x":1`), whole(uid, `,"status":1`), whole(uid, `,"status":{"results":1}`),
		whole(uid, `,"status":{"conditions":[{"type":5}]}`),
		whole(uid, `,"spec":[]`), whole(uid, `,"spec":{"params":"x"}`),
		whole(uid, `,"metadata":{"name":"victim","labels":{"a":1}}`),
		strings.Replace(whole(uid, ``), `"TaskRun"`, `"PipelineRun"`, 1),
		strings.Replace(whole(uid, ``), `"victim"`, `"another"`, 1),
		strings.Replace(whole(uid, ``), `"uid"`, `"resourceVersion":"1","uid"`, 1),
		strings.Replace(whole(uid, ``), `"uid"`, `"managedFields":1,"uid"`, 1),
	}
}

func whole(uid types.UID, rest string) string {
	return fmt.Sprintf(`{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"victim","uid":%q}%s}`, uid,
		rest)
}

// answer is the API server's complete answer to a probe.
func (p probe) answer(s *stage, as *harness.Cluster) string {
	request := as.Tekton.TektonV1().RESTClient().Verb(p.verb).AbsPath(p.api, "namespaces", s.namespace, p.at)
	for _, pair := range strings.Split(p.query, "&") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			request.Param(name, strings.ReplaceAll(value, "%3D", "="))
		}
	}
	for header, value := range map[string]string{"Accept": p.accept, "Content-Type": p.contentType} {
		if value != "" {
			request.SetHeader(header, value)
		}
	}
	result := request.Body([]byte(p.body)).Do(s.ctx)
	body, err := result.Raw()
	said := fmt.Sprint(string(body), err)
	for _, warning := range result.Warnings() {
		said += warning.Text
	}
	return said
}

// TestAnswersToStrangers: whatever a pod or a service account requests about another's TaskRun, no
// answer contains any part of it, not even an error. Only the grant of config/rbac is installed.
//
// The control: somebody who may read sees the marks, and so does somebody who may patch.
func TestAnswersToStrangers(t *testing.T) {
	t.Parallel()
	s := newStageWithoutGrant(newPlace(t))
	s.makeMarked("victim")
	victim, err := cluster.TaskRun(s.ctx, s.namespace, "victim")
	s.must(err)
	rivals := newPlace(t)
	strangers := map[string]*harness.Cluster{
		"another pod of the namespace":             s.podWriter(s.sleeper("stranger")),
		"a service account without a pod":          s.podWriter(""),
		"a pod of another namespace":               rivals.podWriter(rivals.sleeper("victim-pod")),
		"a service account of another namespace":   rivals.podWriter(""),
		"a pod of a namespace without the opt-in":  plainStranger(t),
		"a person without rights, with a password": s.nobody(),
	}
	asked := probes(victim.UID)
	for who, as := range strangers {
		t.Run(who, func(t *testing.T) {
			for _, p := range asked {
				if said := p.answer(s, as); strings.Contains(said, mark) {
					t.Errorf("%s is answered with a part of the TaskRun: %.600s", p, said)
				}
			}
		})
	}
	t.Logf("%d probes each", len(asked))

	t.Run("a mark would be seen", func(t *testing.T) {
		if said := (probe{verb: http.MethodGet, api: tektonV1, at: "taskruns/victim"}).answer(s,
			cluster); strings.Count(said,
			mark) < 6 {
			t.Errorf("the victim has too few marks: %.600s", said)
		}
		s.grant(rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: "default", Namespace: rivals.namespace},
			rbacv1.PolicyRule{APIGroups: []string{"tekton.dev"}, Resources: []string{"taskruns/status"},
				Verbs: []string{"patch"}})
		leak := probe{verb: http.MethodPatch, api: tektonV1, at: "taskruns/victim/status",
			contentType: string(types.MergePatchType), body: `{"metadata":{"labels":1}}`}
		s.must(harness.Eventually(s.ctx, "the right to patch to leak", func() (bool, error) {
			return strings.Contains(leak.answer(s, rivals.podWriter("")), mark), nil
		}))
	})
	t.Run("what a stranger learns is that a name exists, and its UID", func(t *testing.T) {
		put := func(name string, uid types.UID) string {
			body := strings.Replace(whole(uid, ``), "victim", name, 1)
			return probe{verb: http.MethodPut, api: tektonV1, at: "taskruns/" + name + "/status",
				contentType: "application/json", body: body}.
				answer(s, strangers["a pod of another namespace"])
		}
		if said := put("nobody", "wrong"); !strings.Contains(said, "not found") {
			t.Errorf("a name that does not exist: %.300s", said)
		}
		if said := put("victim", "wrong"); !strings.Contains(said, "Precondition failed: UID") ||
			!strings.Contains(said, string(victim.UID)) {
			t.Errorf("another UID: %.300s", said)
		}
	})
}

// makeMarked makes a TaskRun with marks in all readable parts.
func (s *stage) makeMarked(name string) {
	s.t.Helper()
	s.create(fmt.Sprintf(`
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: %[1]s, annotations: {secret: %[2]s-annotation}, labels: {secret: %[2]s-label}}
spec:
  managedBy: indelible.dev/e2e
  params: [{name: secret, value: %[2]s-parameter}]
  taskSpec:
    params: [{name: secret}]
    results: [{name: text}]
    steps: [{name: build, image: none, script: "echo %[2]s-script"}]
`, name, mark))
	s.patchAsController(name, fmt.Sprintf(`{"podName":"%[1]s-pod","startTime":"2026-01-02T03:04:05Z",
	  "conditions":[{"type":"Succeeded","status":"Unknown","message":"%[2]s-message","lastTransitionTime":"2026-01-02T03:04:05Z"}],
	  "results":[{"name":"text","type":"string","value":"%[2]s-result"}],
	  "taskSpec":{"results":[{"name":"text","type":"string"}],"steps":[{"name":"build","image":"none","script":"echo %[2]s-substituted"}]}}`, name, mark))
}

func plainStranger(t *testing.T) *harness.Cluster {
	t.Helper()
	p := newPlaceWith(t, nil)
	return p.podWriter(p.sleeper("victim-pod"))
}

func (s *stage) nobody() *harness.Cluster {
	s.t.Helper()
	as, err := cluster.As("e2e-nobody", "system:authenticated")
	s.must(err)
	return as
}
