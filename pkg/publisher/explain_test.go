package publisher

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestExplain(t *testing.T) {
	o := testOptions(t)
	tests := map[string]struct {
		what string
		sent collected
		e    effort
		want string
	}{
		"names the TaskRun, the finding and the advice": {"it broke", collected{}, effort{},
			"TaskRun ci/build-1: it broke. Do this."},
		"ends the finding with one full stop": {"it broke.. ", collected{}, effort{},
			"TaskRun ci/build-1: it broke. Do this."},
		"makes one line of many": {"<html>\r\n <b>\tBad\x00 Gateway\n", collected{}, effort{},
			"TaskRun ci/build-1: <html> <b> Bad Gateway. Do this."},
		"tells the attempts": {"it broke", collected{}, effort{attempts: 7, took: 1234 * time.Millisecond},
			"TaskRun ci/build-1: it broke. Ended after 7 attempts in 1.2s. Do this."},
		"tells what was reached": {
			"it broke", collected{}, effort{attempts: 1, took: time.Second, bound: "the timeout"},
			"TaskRun ci/build-1: it broke. Gave up after 1 attempt in 1s, at the end of the timeout. Do this."},
		"tells sizes and limits": {"it broke", collected{Results: []named{{"a", "1"}, {"b", "22"}}}, effort{},
			`TaskRun ci/build-1: it broke. To publish: 3 bytes in all, the largest: result "b" is 2 bytes; ` +
				"limits: 1048576 bytes (1 MiB) for one result, 1310720 bytes (1.25 MiB) for one TaskRun. Do this."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := explain(o, &problem{tt.what, "Do this."}, tt.sent, tt.e); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestExplainIsBounded(t *testing.T) {
	o := testOptions(t)
	tests := map[string]struct{ namespace, what, advice string }{
		"cuts the middle of a long finding":    {"ci", "begin " + strings.Repeat("é", 5000) + " end", "Do this."},
		"cuts an advice that is too long":      {"ci", "begin end", strings.Repeat("\U0001F642", 5000)},
		"cuts names that are too long as well": {strings.Repeat("x", 5000), "begin end", "Do this."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o.Namespace = tt.namespace
			got := explain(o, &problem{tt.what, tt.advice}, collected{}, effort{})
			if len(got) > 1000 || len(got) < 990 || !utf8.ValidString(got) {
				t.Errorf("%d bytes, valid %v: %s", len(got), utf8.ValidString(got), got)
			}
		})
	}
	o.Namespace = "ci"
	got := explain(o, &problem{tests["cuts the middle of a long finding"].what, "Do this."}, collected{}, effort{})
	wantText(t, got, "TaskRun ci/build-1: begin é", "é … é", "é end. Do this.")
}

func FuzzShorten(f *testing.F) {
	f.Add("a longer text with é and \U0001F642", 12)
	f.Add("\xff\xfe\x80\x80\x80\x80\x80\x80\x80", 7)
	f.Fuzz(func(t *testing.T, s string, n int) {
		if n < 0 {
			return
		}
		got := shorten(s, n)
		if len(got) > n || len(s) <= n && got != s || utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Fatalf("%q to %d bytes gives %q", s, n, got)
		}
	})
}

func TestRedact(t *testing.T) {
	tests := map[string]struct{ secret, message, want string }{
		"redacts a value": {"a-long-secret", "bad a-long-secret, a-long-secret!",
			"bad (redacted), (redacted)!"},
		"redacts as far as the value goes": {"0123456789abcdefghij", "x0123456789abcdefghZZ", "x(redacted)ZZ"},
		"redacts a value as JSON quotes it": {"line one\nline <two>", `bad "line one\nline \u003ctwo\u003e"`,
			`bad "(redacted)"`},
		"redacts a value as Go quotes it":     {"line one\x00\nline", `bad "line one\x00\nline"`, `bad "(redacted)"`},
		"redacts a value without white space": {"  a-long-secret\n", "bad a-long-secret", "bad (redacted)"},
		"keeps what is as short as a word":    {"default", "namespace default", "namespace default"},
		"keeps a message without the value":   {"a-long-secret", "fine", "fine"},
		"keeps a beginning shorter than 16":   {"0123456789abcdefghij", "0123456789abcde", "0123456789abcde"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRedactor(collected{Steps: []stepResults{{"s", []named{{"a", tt.secret}}}}})
			if got := r.clean(tt.message); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
