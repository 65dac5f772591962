package publisher

import (
	"encoding/json"
	"strconv"
	"strings"
)

const (
	// minRedacted is the minimum length of a value to redact. Shorter ones ("true", "1.2.3") cannot
	// be told from a message's own words.
	minRedacted = 8
	// redactProbe is how many leading bytes of a value must occur for it to be redacted: servers
	// truncate values.
	redactProbe = 16
	// redactDepth bounds how much of a value is compared; messages are not longer.
	redactDepth = 64 << 10
)

// redactor removes the token and result values from messages of others. Some servers quote the
// value they complain about (`Invalid value: "…"`), and not everyone who may read a TaskRun's
// events or a pod's logs may read its results.
type redactor struct{ secrets []string }

func newRedactor(c collected) *redactor {
	r := &redactor{}
	for _, n := range c.Results {
		r.add(n.Value)
	}
	for _, s := range c.Steps {
		for _, n := range s.Results {
			r.add(n.Value)
		}
	}
	return r
}

// add registers s, as it is and as JSON and Go quote it.
func (r *redactor) add(s string) {
	s = strings.TrimSpace(s)
	if len(s) < minRedacted {
		return
	}
	s = cut(s, redactDepth)
	encoded, _ := json.Marshal(s) // a string always encodes
	forms := []string{s, unquote(strconv.Quote(s)), unquote(string(encoded))}
	for i, f := range forms {
		if len(f) >= minRedacted && (i == 0 || f != s) {
			r.secrets = append(r.secrets, f)
		}
	}
}

// unquote removes the surrounding quotes, nothing else.
func unquote(s string) string { return s[1 : len(s)-1] }

func (r *redactor) clean(msg string) string {
	for _, s := range r.secrets {
		msg = redact(msg, s)
	}
	return msg
}

// redact replaces each place where msg repeats the beginning of s, as far as it matches.
func redact(msg, s string) string {
	probe := s[:min(len(s), redactProbe)]
	var out strings.Builder
	for {
		at := strings.Index(msg, probe)
		if at < 0 {
			out.WriteString(msg)
			return out.String()
		}
		out.WriteString(msg[:at])
		out.WriteString("(redacted)")
		n := len(probe)
		for at+n < len(msg) && n < len(s) && msg[at+n] == s[n] {
			n++
		}
		msg = msg[at+n:]
	}
}
