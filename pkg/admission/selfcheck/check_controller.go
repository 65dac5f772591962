package selfcheck

import (
	"fmt"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/indelible-ci/indelible/pkg/preflight"
)

// Expected is what the webhook itself goes by.
type Expected struct {
	// Controllers are the users it takes for Tekton's controller.
	Controllers []string
	// TaskRunLimit is its limit on all results of a TaskRun, in bytes.
	TaskRunLimit int64
}

// A naming is a piece that says who Tekton's controller is, once or more often.
type naming struct {
	piece  piece
	places [][]string
}

// configuration is not one of the pieces that guard: the API server does not evaluate it.
var configuration = piece{"ConfigMap", "indelible-config"}

// Rule "controller": every place names a user that Tekton's controller runs as. One that does not stops Tekton:
// the policy on pods lets it create none, the others let it finish no TaskRun. Where the controller is not
// found under its usual name nothing can be said.
//
// It returns the pieces that do not.
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

// Rule "settings": the API server goes by the same names as the webhook. For up to a minute after a change it
// does not: the kubelet brings the ConfigMap late.
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

// Rule "limit": what the configuration allows, the policy allows. Its limit is a variable that it names
// maxBytes; a policy without has none of ours.
func checkLimit(expected Expected, p *admissionv1.ValidatingAdmissionPolicy) string {
	for _, v := range p.Spec.Variables {
		if v.Name != "maxBytes" {
			continue
		}
		if most, err := strconv.ParseInt(strings.TrimSpace(v.Expression), 10, 64); err == nil && most < expected.TaskRunLimit {
			return fmt.Sprintf("allows %d bytes of results (variable maxBytes), less than limits.taskRun, %d",
				most, expected.TaskRunLimit)
		}
	}
	return ""
}
