//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	jsonpatch "github.com/evanphx/json-patch/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/test/harness"
)

// encoding is one of the forms in which the API server accepts the same change.
type encoding string

const (
	mergePatch      encoding = "merge patch"
	jsonPatch       encoding = "JSON patch"
	strategicPatch  encoding = "strategic merge patch"
	serverSideApply encoding = "server-side apply"
	put             encoding = "PUT"
	v1beta1         encoding = "v1beta1" // a merge patch in the older version, which calls results taskResults
)

var encodings = []encoding{mergePatch, jsonPatch, strategicPatch, serverSideApply, put, v1beta1}

// The API groups that attacks are sent to.
const (
	coreV1        = "api/v1"
	tektonV1      = "apis/tekton.dev/v1"
	tektonV1beta1 = "apis/tekton.dev/v1beta1"
)

// encoded is a change as it is sent.
type encoded struct {
	verb        string
	api         string // where the resource is: group and version
	contentType types.PatchType
	body        []byte
}

// encode writes a change of an object, which is given as a JSON patch, in one of the encodings.
func (e encoding) encode(object []byte, change string) (encoded, error) {
	patch, err := jsonpatch.DecodePatch([]byte(change))
	if err != nil {
		return encoded{}, fmt.Errorf("reading %.200s: %w", change, err)
	}
	changed, err := patch.Apply(object)
	if err != nil {
		return encoded{}, fmt.Errorf("applying %.200s: %w", change, err)
	}
	merge, err := jsonpatch.CreateMergePatch(object, changed)
	if err != nil {
		return encoded{}, fmt.Errorf("making a merge patch of %.200s: %w", change, err)
	}
	switch e {
	case jsonPatch:
		return encoded{http.MethodPatch, tektonV1, types.JSONPatchType, []byte(change)}, nil
	case strategicPatch:
		return encoded{http.MethodPatch, tektonV1, types.StrategicMergePatchType, merge}, nil
	case serverSideApply:
		body, err := applied(object, changed)
		return encoded{http.MethodPatch, tektonV1, types.ApplyPatchType, body}, err
	case put:
		return encoded{http.MethodPut, tektonV1, "application/json", changed}, nil
	case v1beta1:
		older, err := inV1beta1(merge)
		return encoded{http.MethodPatch, tektonV1beta1, types.MergePatchType, older}, err
	default:
		return asMergePatch(string(merge)), nil
	}
}

func asMergePatch(body string) encoded {
	return encoded{http.MethodPatch, tektonV1, types.MergePatchType, []byte(body)}
}

// applied is the input of server-side apply that makes the change: the fields of metadata, spec and
// status that differ. A removed list is applied as an empty one, because nobody owns it who could
// leave it out.
func applied(object, changed []byte) ([]byte, error) {
	var before, after map[string]any
	if err := json.Unmarshal(object, &before); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(changed, &after); err != nil {
		return nil, err
	}
	metadata := map[string]any{"name": before["metadata"].(map[string]any)["name"]}
	body := map[string]any{"apiVersion": before["apiVersion"], "kind": before["kind"], "metadata": metadata}
	for _, part := range []string{"metadata", "spec", "status"} {
		old, _ := before[part].(map[string]any)
		changed, _ := after[part].(map[string]any)
		fields, ok := body[part].(map[string]any)
		if !ok {
			fields = map[string]any{}
		}
		for key, value := range changed {
			if !sameAsJSON(old[key], value) {
				fields[key] = value
			}
		}
		for key, value := range old {
			if _, list := value.([]any); list && changed[key] == nil {
				fields[key] = []any{}
			}
		}
		if len(fields) > 0 {
			body[part] = fields
		}
	}
	return json.Marshal(body)
}

func inV1beta1(patch []byte) ([]byte, error) {
	var body map[string]any
	if err := json.Unmarshal(patch, &body); err != nil {
		return nil, err
	}
	if status, ok := body["status"].(map[string]any); ok {
		if results, ok := status["results"]; ok {
			delete(status, "results")
			status["taskResults"] = results
		}
	}
	return json.Marshal(body)
}

func sameAsJSON(a, b any) bool {
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}

// send writes as a requester and returns the API server's refusal, nil if there is none. at is the
// path below the namespace, as in taskruns/run/status.
func (s *stage) send(as *harness.Cluster, at string, e encoded, dryRun bool) error {
	request := as.Tekton.TektonV1().RESTClient().Verb(e.verb).AbsPath(e.api, "namespaces", s.namespace, at).
		Param("fieldManager", "e2e-attack").SetHeader("Content-Type", string(e.contentType)).Body(e.body)
	if e.contentType == types.ApplyPatchType {
		request.Param("force", "true")
	}
	if dryRun {
		request.Param("dryRun", metav1.DryRunAll)
	}
	return request.Do(s.ctx).Error()
}

// stored is an object as the API server answers it, byte for byte.
func (s *stage) stored(api, at string) []byte {
	s.t.Helper()
	object, err := cluster.Tekton.TektonV1().RESTClient().Get().AbsPath(api, "namespaces", s.namespace, at).DoRaw(s.ctx)
	s.must(err)
	return object
}
