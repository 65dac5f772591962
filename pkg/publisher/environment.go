package publisher

import (
	"os"
	"slices"
	"strings"
	"syscall"
)

// ownVariables are the environment variables that affect any Go program (packages runtime and
// crypto/x509). A step that sets them means its own programs; in the publisher, GODEBUG for one
// could disable what the connection to the API server needs, or write to the step's log.
var ownVariables = []string{
	"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK", "GOCOVERDIR", "GORACE", "SSL_CERT_FILE",
	"SSL_CERT_DIR",
}

// hiddenPrefix is prepended to the step's variables while they must not affect this program.
const hiddenPrefix = "INDELIBLE_STEP_"

// leaveEnvironment re-executes this program in the same process, with such variables renamed. The
// runtime has read them before main begins, so there is no other way. The command gets them back
// (stepEnvironment). If the program cannot be executed again, it continues as it is.
func leaveEnvironment() {
	env := os.Environ()
	if hidden := hide(env); !slices.Equal(env, hidden) {
		//nolint:gosec // G702: this very program, with the arguments it has
		_ = syscall.Exec("/proc/self/exe", os.Args, hidden)
	}
}

func hide(env []string) []string {
	out := slices.Clone(env)
	for i, v := range out {
		if name, _, ok := strings.Cut(v, "="); ok && slices.Contains(ownVariables, name) {
			out[i] = hiddenPrefix + v
		}
	}
	return out
}

// stepEnvironment restores the environment as the step set it.
func stepEnvironment(env []string) []string {
	out := slices.Clone(env)
	for i, v := range out {
		rest, ok := strings.CutPrefix(v, hiddenPrefix)
		if name, _, _ := strings.Cut(rest, "="); ok && slices.Contains(ownVariables, name) {
			out[i] = rest
		}
	}
	return out
}
