package archiver

import (
	"regexp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Annotations and labels that decide about a run's Result, and that tell where it is, as Tekton Results has them
// (https://github.com/tektoncd/results, pkg/watcher/reconciler/annotation).
const (
	resultAnnotation  = "results.tekton.dev/result"
	recordAnnotation  = "results.tekton.dev/record"
	logAnnotation     = "results.tekton.dev/log"
	storedAnnotation  = "results.tekton.dev/stored"
	triggersEventID   = "triggers.tekton.dev/triggers-eventid"
	pipelineRunKind   = "PipelineRun"
	resultNamePattern = `^([a-z0-9_-]{1,63})/results/([a-z0-9_-]{1,63})$`
)

var (
	resultName = regexp.MustCompile(resultNamePattern)
	resultID   = regexp.MustCompile(`^[a-z0-9_-]{1,63}$`)
)

// resultOf returns the Result that a run belongs to, without its parent: the one that an annotation names, if it is of
// the run's namespace; else that of the event that triggered it; else the owning PipelineRun's; else its own. What cannot be
// a name falls through to the next: a run is archived whatever somebody wrote into a label.
func resultOf(m *metav1.ObjectMeta) string {
	if match := resultName.FindStringSubmatch(m.Annotations[resultAnnotation]); match != nil && match[1] == m.Namespace {
		return match[2]
	}
	if id := m.Labels[triggersEventID]; resultID.MatchString(id) {
		return id
	}
	for _, owner := range m.OwnerReferences {
		if owner.Kind == pipelineRunKind && resultID.MatchString(string(owner.UID)) {
			return string(owner.UID)
		}
	}
	return string(m.UID)
}
