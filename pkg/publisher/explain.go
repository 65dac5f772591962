package publisher

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/indelible-ci/indelible/pkg/result"
)

// maxExplanation bounds an explanation, in bytes. It has to fit into a termination message (4096 bytes) beside
// Tekton's entries, and into the TaskRun's condition.
const maxExplanation = 1000

// problem is why the results did not reach the TaskRun. It never holds a result's value.
type problem struct {
	what   string // the finding, with names, sizes and limits; may be long when a server had much to say
	advice string // what the reader can do about it
}

func (p *problem) Error() string { return p.what }

// effort is what publishing had cost when it was given up. The zero value stands for no request at all.
type effort struct {
	attempts int
	took     time.Duration
	bound    string // what ended it, if the time was up
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

// explain puts together what a person needs who sees nothing but this text: which TaskRun, what was wrong, what was
// to be sent, how long it was tried, and what to do. That results were not published is said by whoever shows it:
// the step's terminationReason, the TaskRun's condition, the log line. Where it would be too long, the middle of
// the finding is what goes: the names at its start and the reason at its end stay.
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

// sending says what there was to publish and how that compares with the limits.
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

// oneLine keeps a server's line breaks and control characters out of a log line.
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
