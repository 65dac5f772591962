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

// Run runs the command, then publishes its results or keeps them for the last step, and returns the
// container's exit code: the command's own, or result.ExitNotPublished if the command succeeded but
// its results did not reach the TaskRun. Results are published after a failed command, too, as
// Tekton reports them.
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
		logf("the pod was asked to stop and the step did not end well: its results are not published, as Tekton may run it " +
			"again")
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

// finish keeps or publishes the results. It returns the explanation of a failure, "" on success.
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

// publish publishes the results of all steps, even if some step's cannot be read, which is then the
// error. It sends a request even if there are no results: another container of the pod may have
// written one that no step has, and the answer shows it.
func publish(o Options, s *sender) (collected, error) {
	ctx, cancel := s.bound.begin()
	defer cancel()
	reports, unread := gather(o)
	results, err := s.send(ctx, reports)
	return results, cmp.Or(unread, err)
}

// send combines the reports and sends them.
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
