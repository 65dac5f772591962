package selfcheck

import (
	"fmt"
	"slices"
	"strings"
)

// Each of these says in one line what is wrong and what to do about it, and nothing if nothing is.

// adviseGrant: the manifests in this repository name the usual controller. Whoever runs Tekton by another one
// must not put a single piece back from there.
func adviseGrant(gaps []gap, usual bool) string {
	if len(gaps) == 0 {
		return ""
	}
	var commands []string
	for _, g := range gaps {
		if command := g.piece.apply(); !slices.Contains(commands, command) {
			commands = append(commands, command)
		}
	}
	back := strings.Join(commands, " && ")
	if !usual {
		back = "by the overlay that was installed, as Tekton's controller has another name there than in config"
	}
	return "service accounts may write taskruns/status, but what guards these writes is not all in place: " +
		list(gaps) + ". Put it back: " + back + "; or take the grant away: " + revoke
}

func adviseController(running []string, gaps []gap) string {
	if len(gaps) == 0 {
		return ""
	}
	return fmt.Sprintf("Tekton's controller is %s, but %s: Tekton cannot go on with TaskRuns. "+
		"Install again with its name: make install CONTROLLER=%s, or an overlay with that key `controller` (docs/operations.md)",
		strings.Join(running, " or "), list(gaps), running[0])
}

func adviseSettings(gaps []gap) string {
	if len(gaps) == 0 {
		return ""
	}
	return "the API server does not go by what the webhook is configured with: " + list(gaps) +
		". For a minute after a change that is so; else install again what was changed (docs/operations.md)"
}

func adviseGroupLeak(leaking bool) string {
	if !leaking {
		return ""
	}
	return "every service account may patch taskruns/status, and a patch that cannot be decoded is answered " +
		"with the whole TaskRun: whoever knows a name reads it. Look which role a ClusterRoleBinding gives to " +
		"system:serviceaccounts or system:authenticated (kubectl get clusterrolebindings -o wide), and take patch out; publishing needs update only (config/rbac)"
}

// maxNamed bounds how many bindings an event names.
const maxNamed = 5

func adviseLeaks(leaks []leak) string {
	if len(leaks) == 0 {
		return ""
	}
	texts := make([]string, 0, maxNamed)
	for _, l := range leaks[:min(maxNamed, len(leaks))] {
		texts = append(texts, l.String())
	}
	if more := len(leaks) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return "service accounts may patch taskruns/status where they may not get TaskRuns, and a patch that cannot be " +
		"decoded is answered with the whole TaskRun: " + strings.Join(texts, "; ") +
		". Take patch out of the role, or the binding away; publishing needs update only"
}

func list(gaps []gap) string {
	texts := make([]string, 0, len(gaps))
	for _, g := range gaps {
		texts = append(texts, g.String())
	}
	return strings.Join(texts, "; ")
}
