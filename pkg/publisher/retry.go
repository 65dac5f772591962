package publisher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// attemptTimeout bounds one attempt. The API server's webhooks may take 10 s each, and a
	// hanging API server must leave time for an attempt at another one.
	attemptTimeout = 30 * time.Second
	// firstBackoff and maxBackoff bound the exponential backoff.
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 5 * time.Second
)

// sender publishes one TaskRun's results.
type sender struct {
	options  Options
	endpoint endpoint
	bound    *bound
	clock    clock
	// logf writes one line to the step's stderr, when the outcome of attempts changes, not for
	// each.
	logf func(format string, args ...any)

	redactor *redactor
	effort   effort
	state    string // of the last attempt, to notice a change
}

// publish sends the results in one PUT and retries it until it is acknowledged, refused for good,
// or out of time; then it compares what is stored with what was sent. Retrying is safe: the guard
// accepts the same values twice. Its error is a *problem.
func (s *sender) publish(ctx context.Context, c collected) error {
	s.redactor = newRedactor(c)
	body := encodeJSON(newSparse(s.options, c))
	backoff := firstBackoff
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
			if s.bound.wait(max(s.jitter(backoff), a.retryAfter)) {
				backoff = min(2*backoff, maxBackoff)
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

// jitter randomizes the upper half of a backoff, so that publishers held up by the same outage do
// not all return at once.
func (s *sender) jitter(backoff time.Duration) time.Duration {
	return backoff/2 + time.Duration(s.clock.random()*float64(backoff/2))
}

// note logs a change of the obstacle.
func (s *sender) note(a answer, p *problem) {
	state := fmt.Sprint("HTTP ", a.code) // 0: no answer
	if state == s.state || s.bound.left() <= lastTry {
		return
	}
	s.state = state
	s.logf("cannot publish results yet: %s; retrying for another %s", shorten(oneLine(p.what), maxExplanation/2),
		s.bound.left().Round(time.Second))
}

// check verifies what is stored, and logs the end of an outage that was logged.
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
