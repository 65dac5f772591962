package publisher

import (
	"os"
	"slices"
	"strings"
	"syscall"
)

// ownVariables are what a Go program takes from its environment by itself (packages runtime and crypto/x509). A step
// that sets them means its own programs. GODEBUG may turn off what the connection to the API server needs, or write to
// the step's log.
var ownVariables = []string{
	"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK", "GOCOVERDIR", "GORACE", "SSL_CERT_FILE", "SSL_CERT_DIR",
}

// hiddenPrefix names the step's variables while they are not to count for this program.
const hiddenPrefix = "INDELIBLE_STEP_"

// leaveEnvironment starts this program anew, in the same process, where the environment has variables that would count
// for it. The runtime has read them when main begins, so that no other way is left. The command gets them back
// (stepEnvironment). Where the program cannot be executed again, it goes on as it is.
func leaveEnvironment() {
	env := os.Environ()
	if hidden := hide(env); !slices.Equal(env, hidden) {
		_ = syscall.Exec("/proc/self/exe", os.Args, hidden) //nolint:gosec // G702: this very program, with the arguments it has
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

// stepEnvironment is the environment as the step has set it.
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
