package publisher

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Run runs the command, publishes what it left in the result files, and returns the container's exit code: the
// command's own, or result.ExitNotPublished if that was 0 and the results did not reach the TaskRun. Results are
// published after a failed command too, as Tekton reports them.
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
		logf("the pod was asked to stop and the step did not end well: its results are not published, as Tekton may run it again")
		return code
	}

	explanation := publish(o, b, c, logf)
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

// publish returns the explanation of what went wrong, or nothing.
func publish(o Options, b *bound, c clock, logf func(string, ...any)) string {
	ctx, cancel := b.begin()
	defer cancel()
	s := &sender{options: o, bound: b, clock: c, logf: logf}
	results, err := collect(o)
	if err == nil && results.empty() {
		return ""
	}
	if err == nil {
		s.endpoint, err = newEndpoint(o, os.Getenv)
	}
	if err == nil {
		err = s.publish(ctx, results)
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
