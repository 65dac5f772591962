package publisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Run runs the command, publishes what it left in the result files, or keeps it for the last step, and returns the
// container's exit code: the command's own, or result.ExitNotPublished if that was 0 and the results did not reach
// the TaskRun. Results are published after a failed command too, as Tekton reports them.
func Run(o Options, stderr io.Writer) int {
	return run(o, stderr, realClock())
}

func run(o Options, stderr io.Writer, c clock) int {
	logf := func(format string, args ...any) {
		_, _ = fmt.Fprintln(stderr, "indelible: "+fmt.Sprintf(format, args...))
	}
	b := newBound(c, o.Timeout, o.GracePeriod)
	p, err := start(o.Command, b.stop)
	if err != nil {
		code, text := startFailure(o.Command[0], err)
		logf("%s", text)
		return code
	}
	code := exitCode(<-p.ended)
	if code != 0 && b.stopping() {
		if err := handOn(o.Post); err != nil {
			logf("%v", err)
		}
		logf("the pod was asked to stop and the step did not end well: its results are not published, as Tekton may run it again")
		return code
	}

	explanation := finish(o, b, c, logf)
	if explanation == "" {
		return code
	}
	// The termination message first: it is what the TaskRun shows, and stderr may block.
	if o.TerminationMessage != "" {
		if err := rewriteTermination(o.TerminationMessage, explanation, code != 0); err != nil {
			defer logf("cannot explain this in the TaskRun: %v", err)
		}
	}
	logf("results not published: %s", explanation)
	if code == 0 {
		return result.ExitNotPublished
	}
	return code
}

// finish keeps or publishes, and returns the explanation of what went wrong, or nothing.
func finish(o Options, b *bound, c clock, logf func(string, ...any)) string {
	s := &sender{options: o, bound: b, clock: c, logf: logf}
	var results collected
	var err error
	if o.KeepIn != "" {
		err = keep(o)
		err = cmp.Or(err, handOn(o.Post))
	} else {
		results, err = publish(o, s)
	}
	if err == nil {
		return ""
	}
	var p *problem
	if !errors.As(err, &p) {
		p = &problem{what: err.Error()}
	}
	return strings.TrimSpace(explain(o, p, results, s.effort))
}

// publish publishes the results of all steps, also where a step's could not be read, which is then the error. It asks the
// API server also if there are none: what is stored must be what the files say, and another container of the pod may
// have written a result that no step has.
func publish(o Options, s *sender) (collected, error) {
	ctx, cancel := s.bound.begin()
	defer cancel()
	reports, unread := gather(o)
	results, err := s.send(ctx, reports)
	return results, cmp.Or(unread, err)
}

// send sends what the reports come to.
func (s *sender) send(ctx context.Context, reports []stepReport) (collected, error) {
	o := s.options
	results, err := combine(o, reports)
	if err != nil {
		return results, err
	}
	if s.endpoint, err = newEndpoint(o, os.Getenv); err != nil {
		return results, err
	}
	return results, s.publish(ctx, results)
}
