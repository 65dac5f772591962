package publisher

import (
	"slices"
	"strings"
	"testing"
)

// What the step sets is the command's, and does not count for the publisher: the command sees it in
// its own environment, and not in its parent's.
func TestTheStepsEnvironmentIsTheCommandsOnly(t *testing.T) {
	s := newAPIServer(t)
	o := newStep(t, s,
		`echo "$GODEBUG $GOMEMLIMIT $SSL_CERT_FILE $HTTPS_PROXY $KUBERNETES_SERVICE_HOST."; tr '\\0' '\\n' </proc/$PPID/environ; `+writeResult)
	cmd := publisherCommand(t, rolePublisher, o, "GODEBUG=http2debug=2,x509usefallbackroots=1", "GOMEMLIMIT=2MiB",
		"SSL_CERT_FILE=/nonexistent",
		"HTTPS_PROXY=http://127.0.0.1:1", "KUBERNETES_SERVICE_HOST=192.0.2.1", "KUBERNETES_SERVICE_PORT=", "HOME=",
		"TMPDIR=/nonexistent")
	code, stdout, stderr := runPublisher(t, cmd)
	if code != 0 || stderr != "" {
		t.Fatalf("code %d, stderr %q", code, stderr)
	}
	lines := strings.Split(stdout, "\n")
	if want := "http2debug=2,x509usefallbackroots=1 2MiB /nonexistent http://127.0.0.1:1 192.0.2.1."; lines[0] != want {
		t.Errorf("the command sees %q, want %q", lines[0], want)
	}
	for _, own := range ownVariables {
		if slices.ContainsFunc(lines[1:], func(l string) bool { return strings.HasPrefix(l, own+"=") }) {
			t.Errorf("%s counts for the publisher", own)
		}
	}
	if n := len(s.seen()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestHiddenVariables(t *testing.T) {
	for name, tt := range map[string]struct{ step, hidden []string }{
		"what counts is hidden, in its place": {[]string{"A=1", "GODEBUG=x=1", "B="}, []string{"A=1",
			"INDELIBLE_STEP_GODEBUG=x=1", "B="}},
		"each of two with one name": {[]string{"GOGC=1", "GOGC=2"}, []string{"INDELIBLE_STEP_GOGC=1",
			"INDELIBLE_STEP_GOGC=2"}},
		"what only begins like one stays": {
			[]string{"GODEBUGGER=x", "GODEBUG"}, []string{"GODEBUGGER=x", "GODEBUG"},
		},
		"others with the prefix are the step's": {[]string{"INDELIBLE_STEP_X=1"}, []string{"INDELIBLE_STEP_X=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := hide(tt.step); !slices.Equal(got, tt.hidden) {
				t.Errorf("hidden: got %q, want %q", got, tt.hidden)
			}
			if got := stepEnvironment(tt.hidden); !slices.Equal(got, tt.step) {
				t.Errorf("given back: got %q, want %q", got, tt.step)
			}
		})
	}
}
