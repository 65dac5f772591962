package publisher

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/indelible-ci/indelible/pkg/result"
)

// maxExplanation bounds an explanation, in bytes. It must fit into a termination message (4096
// bytes) beside Tekton's entries, and into the TaskRun's condition.
const maxExplanation = 1000

// problem is the reason why the results did not reach the TaskRun. It never holds a result's value.
type problem struct {
	what   string // the finding, with names, sizes and limits; may be long if it quotes a server
	advice string // what to do about it
}

func (p *problem) Error() string { return p.what }

// effort is what publishing took until it was given up. The zero value means no request was made.
type effort struct {
	attempts int
	took     time.Duration
	bound    string // which deadline ended it, if one did
}

func (e effort) String() string {
	took := e.took.Round(100 * time.Millisecond)
	times := fmt.Sprintf("%d attempts", e.attempts)
	if e.attempts == 1 {
		times = "1 attempt"
	}
	switch {
	case e.bound != "":
		return fmt.Sprintf("Gave up after %s in %s, at the end of %s.", times, took, e.bound)
	case e.attempts > 0:
		return fmt.Sprintf("Ended after %s in %s.", times, took)
	}
	return ""
}

// explain builds a message for a reader who sees nothing else: which TaskRun, what went wrong, what
// was to be sent, how long it was tried, and what to do. It does not repeat "results not
// published": the step's terminationReason, the TaskRun's condition or the log line says that. If
// it is too long, the middle of the finding is cut; the names at its start and the reason at its
// end stay.
func explain(o Options, p *problem, sent collected, e effort) string {
	head := fmt.Sprintf("TaskRun %s/%s: ", o.Namespace, o.TaskRun)
	tail := "."
	for _, s := range []string{sending(o, sent), e.String(), p.advice} {
		if s != "" {
			tail += " " + s
		}
	}
	what := strings.TrimRight(oneLine(p.what), ". ")
	return cut(head+shorten(what, max(0, maxExplanation-len(head)-len(tail)))+tail, maxExplanation)
}

// sending describes what was to be published and the limits.
func sending(o Options, c collected) string {
	all := c.sizes()
	if len(all) == 0 {
		return ""
	}
	var total int64
	for _, m := range all {
		total += m.size
	}
	return fmt.Sprintf("To publish: %s in all, the largest: %s; limits: %s for one result, %s for one TaskRun.",
		result.Size(total), list(all[:1]), result.Size(o.Limits.Result), result.Size(o.Limits.TaskRun))
}

// oneLine removes line breaks and control characters that a server sent.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool {
		return r <= ' ' || r == 0x7f
	}), " ")
}

const ellipsis = " … "

// shorten cuts the middle out of s so that it fits into n bytes.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	room := n - len(ellipsis)
	if room <= 0 {
		return cut(s, n)
	}
	front := cut(s, room*2/3)
	start := len(s) - (room - len(front))
	for start < len(s) && !utf8.RuneStart(s[start]) {
		start++
	}
	return front + ellipsis + s[start:]
}

// cut cuts s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
