package publisher

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/result"
)

const (
	// attemptTimeout bounds one attempt: the API server's webhooks may take 10 s each, and a hanging one must
	// leave time for another attempt at another API server.
	attemptTimeout = 30 * time.Second
	// firstPause and maxPause frame the exponential backoff.
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
)

// sender publishes one TaskRun's results.
type sender struct {
	options  Options
	endpoint endpoint
	bound    *bound
	clock    clock
	// logf writes one line to the step's stderr. It is called when the state of the attempts changes, not for each.
	logf func(format string, args ...any)

	redactor *redactor
	effort   effort
	state    string // of the last attempt, to notice a change
}

// publish sends the results in one PUT and repeats it until it was acknowledged, was refused for good, or the bound is
// reached; then it compares what is stored. Repeating is safe: the guard takes the same values twice. What it returns
// is a *problem.
func (s *sender) publish(ctx context.Context, c collected) error {
	s.redactor = newRedactor(c)
	body := encodeJSON(newSparse(s.options, c))
	pause := firstPause
	last := &problem{what: "no time was left to publish", advice: adviceTime}
	for {
		if s.bound.left() > 0 {
			s.effort.attempts++
			a, err := s.attempt(ctx, body)
			switch {
			case err == nil && a.ok():
				return s.check(c, a)
			case err == nil:
				last = s.refused(a, len(body))
			default:
				last = s.unreachable(err)
			}
			if !mayRetry(a, err) {
				s.effort.took, _ = s.bound.spent()
				return last
			}
			s.note(a, last)
			if s.bound.pause(max(s.jitter(pause), a.retryAfter)) {
				pause = min(2*pause, maxPause)
				continue
			}
		}
		s.effort.took, s.effort.bound = s.bound.spent()
		return last
	}
}

func (s *sender) attempt(ctx context.Context, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	a, err := s.endpoint.send(ctx, body, s.redactor)
	var permanent permanentError
	switch {
	case err == nil || errors.As(err, &permanent):
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("no answer within %s", attemptTimeout)
	case ctx.Err() != nil:
		err = errors.New("no answer before the time was up")
	}
	return a, err
}

func mayRetry(a answer, err error) bool {
	if err != nil {
		var permanent permanentError
		return !errors.As(err, &permanent)
	}
	return a.retryable()
}

// jitter spreads a pause over its upper half, so that the publishers a webhook's outage has lined up do not all
// come back at once.
func (s *sender) jitter(pause time.Duration) time.Duration {
	return pause/2 + time.Duration(s.clock.random()*float64(pause/2))
}

// note logs a change of what stands in the way.
func (s *sender) note(a answer, p *problem) {
	state := fmt.Sprint("HTTP ", a.code) // 0: no answer
	if state == s.state || s.bound.left() <= lastTry {
		return
	}
	s.state = state
	s.logf("cannot publish results yet: %s; trying for another %s", shorten(oneLine(p.what), maxExplanation/2),
		s.bound.left().Round(time.Second))
}

// check compares, and tells the end of an outage that was logged.
func (s *sender) check(c collected, a answer) error {
	s.effort.took, _ = s.bound.spent()
	if err := verify(s.options, c, a.body); err != nil {
		var p *problem
		if errors.As(err, &p) && len(a.warnings) > 0 {
			p.what += "; the server warned: " + s.redactor.clean(strings.Join(a.warnings, "; "))
		}
		return err
	}
	if s.state != "" {
		s.logf("results published after %d attempts", s.effort.attempts)
	}
	return nil
}

// unreachable words an attempt that got no answer.
func (s *sender) unreachable(err error) *problem {
	var permanent permanentError
	if errors.As(err, &permanent) {
		return &problem{what: s.redactor.clean(permanent.Error()), advice: permanent.advice}
	}
	return &problem{
		what: fmt.Sprintf("the API server at %s could not be asked: %s", s.endpoint.address(), s.redactor.clean(err.Error())),
		advice: "Check that the step may reach the API server (network policies, service meshes) and that its " +
			"certificate is signed by the cluster's CA.",
	}
}

// refused words an answer other than success.
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

// advice is what a person can do about the code.
func advice(a answer) string {
	switch {
	case a.code == http.StatusUnauthorized:
		return "The pod's token was not accepted: check the token volume and the service account."
	case a.code == http.StatusForbidden && strings.Contains(a.message, result.EnabledKey):
		return "The label was taken off the namespace while the pod ran. Put it back and run the TaskRun again."
	case a.code == http.StatusForbidden:
		return "Check that the TaskRun was still running, and that Indelible's RBAC is installed: the pod's service " +
			"account needs update on taskruns/status."
	case a.code == http.StatusNotFound:
		return "The TaskRun was deleted, or the pod runs against another cluster."
	case a.anotherTaskRun():
		return "The TaskRun was deleted and created again under its name; this pod is the first one's."
	case a.code == http.StatusConflict:
		return "The TaskRun did not name this pod: check that Tekton's controller is running."
	case a.code == http.StatusRequestEntityTooLarge, a.tooLargeForEtcd():
		return adviceSize
	case a.code == http.StatusUnprocessableEntity && strings.Contains(a.message, "cannot be changed"):
		return "Another container of this pod has written the result first, with another value: look for what uses the pod's token."
	case a.code == http.StatusUnprocessableEntity:
		return "Change what the message names: results are declared in the Task and written once."
	case a.code == http.StatusTooManyRequests:
		return "The API server is overloaded; run the TaskRun again later."
	case a.code >= 500:
		return "Check the API server and the webhooks on taskruns/status, first the pods of deployment indelible-webhook."
	case a.code >= 300 && a.code < 400:
		return "Redirects are not followed; check what stands between the pod and the API server."
	}
	return "See the message, and the API server's audit log."
}
