package publisher

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/indelible-ci/indelible/pkg/result"
)

// unreachable describes an attempt that got no answer.
func (s *sender) unreachable(err error) *problem {
	var permanent permanentError
	if errors.As(err, &permanent) {
		return &problem{what: s.redactor.clean(permanent.Error()), advice: permanent.advice}
	}
	return &problem{
		what: fmt.Sprintf("the API server at %s could not be asked: %s", s.endpoint.address(),
			s.redactor.clean(err.Error())),
		advice: "Check that the step may reach the API server (network policies, service meshes) and that its " +
			"certificate is signed by the cluster's CA.",
	}
}

// refused describes an answer other than success.
func (s *sender) refused(a answer, bodySize int) *problem {
	what := "the API server answered " + a.String()
	if len(a.warnings) > 0 {
		what += "; and warned: " + strings.Join(a.warnings, "; ")
	}
	p := &problem{what: s.redactor.clean(what), advice: advice(a)}
	if a.tooLargeForRequest() {
		p.what += fmt.Sprintf("; the encoded request is %s", result.Size(bodySize))
		p.advice = "JSON writes quotes, backslashes and control characters as two to six bytes: write smaller results, " +
			"or encode such content, for example with base64."
	}
	return p
}

const (
	adviceTime = "Raise the pod's terminationGracePeriodSeconds if results have to be published while it is being stopped."
	adviceSize = "Write smaller results, keep large content in a workspace or an artifact store and write its address, " +
		"or have the installation's limits raised."
)

// advice says what to do about an answer.
func advice(a answer) string {
	switch {
	case a.code == http.StatusUnauthorized:
		return "The pod's token was not accepted: check the token volume and the service account."
	case a.code == http.StatusForbidden && strings.Contains(a.message, result.EnabledKey):
		return "The label was removed from the namespace while the pod ran. Put it back and run the TaskRun again."
	case a.code == http.StatusForbidden:
		return "Check that the TaskRun was still running, and that Indelible's RBAC is installed: the pod's service " +
			"account needs update on taskruns/status."
	case a.code == http.StatusNotFound:
		return "The TaskRun was deleted, or the pod runs against another cluster."
	case a.anotherTaskRun():
		return "The TaskRun was deleted and recreated under the same name; this pod belongs to the first one."
	case a.code == http.StatusConflict:
		return "The TaskRun did not name this pod: check that Tekton's controller is running."
	case a.code == http.StatusRequestEntityTooLarge, a.tooLargeForEtcd():
		return adviceSize
	case a.code == http.StatusUnprocessableEntity && strings.Contains(a.message, "cannot be changed"):
		return "Another container of this pod wrote the result first, with another value: find out what uses the pod's token."
	case a.code == http.StatusUnprocessableEntity:
		return "Change what the message names: results are declared in the Task and written once."
	case a.code == http.StatusTooManyRequests:
		return "The API server is overloaded; run the TaskRun again later."
	case a.code >= 500:
		return "Check the API server and the webhooks on taskruns/status, first the pods of deployment indelible-webhook."
	case a.code >= 300 && a.code < 400:
		return "Redirects are not followed; check the proxies between the pod and the API server."
	}
	return "See the message, and the API server's audit log."
}
