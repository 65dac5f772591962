package selfcheck

import (
	"fmt"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/indelible-ci/indelible/pkg/preflight"
)

// Expected are the webhook's own settings.
type Expected struct {
	// Controllers are the users it treats as Tekton's controller.
	Controllers []string
	// TaskRunLimit is its limit for all results of a TaskRun, in bytes.
	TaskRunLimit int64
}

// A naming is a piece that names Tekton's controller, in one or more places.
type naming struct {
	piece  piece
	places [][]string
}

// configuration is not a piece that guards: the API server does not evaluate it.
var configuration = piece{"ConfigMap", "indelible-config"}

// Rule "controller": every piece names a user that Tekton's controller runs as. A wrong name stops
// Tekton: the policy on pods does not let it create any, the others do not let it complete a
// TaskRun. If the controller is not found under its usual name, nothing is reported.
//
// It returns the pieces with a wrong name.
func checkController(running []string, expected Expected, namings []naming) []gap {
	if len(running) == 0 {
		return nil
	}
	var gaps []gap
	for _, n := range append(namings, naming{configuration, [][]string{expected.Controllers}}) {
		if named, lacking := preflight.Lacking(n.places, running); lacking {
			gaps = append(gaps, gap{n.piece, "names " + strings.Join(named, " ")})
		}
	}
	return gaps
}

// Rule "settings": the API server has the same controller names as the webhook. They may differ for
// up to a minute after a change, until the kubelet has updated the ConfigMap's files.
func checkSettings(expected Expected, namings []naming) []gap {
	var gaps []gap
	for _, n := range namings {
		if len(n.places) == 0 {
			gaps = append(gaps, gap{n.piece,
				"does not say who Tekton's controller is, in the form '<name>'.split(' ')"})
			continue
		}
		for _, named := range n.places {
			if !preflight.SameUsers(named, expected.Controllers) {
				gaps = append(gaps, gap{n.piece, fmt.Sprintf(
					"takes %s for Tekton's controller, but the ConfigMap says %s",
					strings.Join(named, " "), strings.Join(expected.Controllers, " "))})
				break
			}
		}
	}
	return gaps
}

// Rule "limit": the policy allows what the configuration allows. Its limit is the variable
// maxBytes; a policy without it has no limit.
func checkLimit(expected Expected, p *admissionv1.ValidatingAdmissionPolicy) string {
	for _, v := range p.Spec.Variables {
		if v.Name != "maxBytes" {
			continue
		}
		if most, err := strconv.ParseInt(strings.TrimSpace(v.Expression), 10, 64); err == nil &&
			most < expected.TaskRunLimit {
			return fmt.Sprintf("allows %d bytes of results (variable maxBytes), less than limits.taskRun, %d",
				most, expected.TaskRunLimit)
		}
	}
	return ""
}
