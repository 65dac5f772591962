package selfcheck

import (
	"fmt"
	"slices"
	"strings"
)

// Each function describes in one line what is wrong and what to do about it, "" if nothing is
// wrong.

// adviseGrant: the manifests in this repository name the usual controller, so an installation with
// another name must not restore single pieces from here.
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
		back = "with the overlay that was installed, because it names another controller of Tekton's than config does"
	}
	return "service accounts may write taskruns/status, but what guards these writes is not all in place: " +
		list(gaps) + ". Put it back: " + back + "; or revoke the grant: " + revoke
}

func adviseController(running []string, gaps []gap) string {
	if len(gaps) == 0 {
		return ""
	}
	return fmt.Sprintf("Tekton's controller is %s, but %s: Tekton cannot go on with TaskRuns. "+
		"Install again with its name: make install CONTROLLER=%s, or an overlay with that key `controller` "+
		"(docs/operations.md)",
		strings.Join(running, " or "), list(gaps), running[0])
}

func adviseSettings(gaps []gap) string {
	if len(gaps) == 0 {
		return ""
	}
	return "the API server's settings differ from the webhook's configuration: " + list(gaps) +
		". This is normal for a minute after a change; otherwise install again what was changed (docs/operations.md)"
}

func adviseGroupLeak(leaking bool) string {
	if !leaking {
		return ""
	}
	return "every service account may patch taskruns/status, and a patch that cannot be decoded is answered " +
		"with the whole TaskRun: anybody who knows a name can read it. Find the role that a ClusterRoleBinding gives to " +
		"system:serviceaccounts or system:authenticated (kubectl get clusterrolebindings -o wide), " +
		"and remove patch from it; publishing needs update only (config/rbac)"
}

// maxNamed is how many bindings an event names.
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
		". Remove patch from the role, or remove the binding; publishing needs update only"
}

func list(gaps []gap) string {
	texts := make([]string, 0, len(gaps))
	for _, g := range gaps {
		texts = append(texts, g.String())
	}
	return strings.Join(texts, "; ")
}
