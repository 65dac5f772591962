package run

import (
	"encoding/json"
	"regexp"
	"slices"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Annotations and labels that decide about a run's Result, and that tell where it is, as Tekton
// Results has them (https://github.com/tektoncd/results, pkg/watcher/reconciler/annotation).
const (
	ResultAnnotation    = result.ResultAnnotation
	RecordAnnotation    = result.RecordAnnotation
	LogAnnotation       = result.LogAnnotation
	StoredAnnotation    = result.StoredAnnotation
	EventListAnnotation = result.EventListAnnotation
	triggersEventID     = "triggers.tekton.dev/triggers-eventid"
	PipelineRunKind     = "PipelineRun"
	CustomRunKind       = "CustomRun"
	resultNamePattern   = `^([a-z0-9_-]{1,63})/results/([a-z0-9_-]{1,63})$`
)

var (
	resultName = regexp.MustCompile(resultNamePattern)
	resultID   = regexp.MustCompile(`^[a-z0-9_-]{1,63}$`)
)

// ResultOf returns the Result that a run belongs to, without its parent: the one that an annotation
// names, if it is of the run's namespace, and did not come with another run's marks; else that of
// the event that triggered it; else the owning PipelineRun's; else its own. What cannot be a name
// falls through to the next: a run is archived whatever somebody wrote into a label.
func ResultOf(m *metav1.ObjectMeta) string {
	copied := slices.Contains((&Run{ObjectMeta: *m}).ForeignMarks(), ResultAnnotation)
	if match := resultName.FindStringSubmatch(m.Annotations[ResultAnnotation]); match != nil && match[1] == m.Namespace &&
		!copied {
		return match[2]
	}
	if id := m.Labels[triggersEventID]; resultID.MatchString(id) {
		return id
	}
	for _, owner := range m.OwnerReferences {
		if owner.Kind == PipelineRunKind && resultID.MatchString(string(owner.UID)) {
			return string(owner.UID)
		}
	}
	return string(m.UID)
}

// LogID returns the identifier of a run's log, which follows from its Result's and its own, as
// Tekton Results makes it (pkg/watcher/results). Where the Result has no UUID for a name, the name
// itself is the namespace.
func LogID(result, uid string) string { return derivedID(result, uid) }

// EventListID is the same for its events.
func EventListID(result, uid string) string { return derivedID(result, uid+"eventlist") }

func derivedID(result, text string) string {
	namespace, err := uuid.Parse(result)
	if err != nil {
		namespace = uuid.NewMD5(uuid.Nil, []byte(result))
	}
	return uuid.NewMD5(namespace, []byte(text)).String()
}

// Annotations with metadata of the user's own for the Result and its summary: JSON objects of
// strings.
const (
	ResultAnnotations        = "results.tekton.dev/resultAnnotations"
	RecordSummaryAnnotations = "results.tekton.dev/recordSummaryAnnotations"
)

// CustomMetadata returns what an annotation holds. What is no object of strings is left out, as it
// is no reason to keep the run from the archive, where the annotation is to be found all the same.
func CustomMetadata(m *metav1.ObjectMeta, annotation string) map[string]string {
	var custom map[string]string
	if err := json.Unmarshal([]byte(m.Annotations[annotation]), &custom); err != nil {
		return nil
	}
	return custom
}
