package run

import (
	"encoding/json"
	"regexp"
	"slices"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Annotations and labels that determine a run's Result and name its place in the archive, as in
// Tekton Results (https://github.com/tektoncd/results, pkg/watcher/reconciler/annotation).
const (
	ResultAnnotation    = result.ResultAnnotation
	RecordAnnotation    = result.RecordAnnotation
	LogAnnotation       = result.LogAnnotation
	StoredAnnotation    = result.StoredAnnotation
	EventListAnnotation = result.EventListAnnotation
	triggersEventID     = "triggers.tekton.dev/triggers-eventid"
	TaskRunKind         = "TaskRun"
	PipelineRunKind     = "PipelineRun"
	CustomRunKind       = "CustomRun"
	resultNamePattern   = `^([a-z0-9_-]{1,63})/results/([a-z0-9_-]{1,63})$`
)

var (
	resultName = regexp.MustCompile(resultNamePattern)
	resultID   = regexp.MustCompile(`^[a-z0-9_-]{1,63}$`)
)

// ResultOf returns the name, without parent, of the Result that a run belongs to: the one in its
// annotation, if that is of the run's namespace and not copied from another run; else that of the
// event that triggered it; else the owning PipelineRun's; else its own. A value that is no valid
// name is skipped, so that no label can keep a run from the archive.
func ResultOf(m *metav1.ObjectMeta) string {
	copied := slices.Contains((&Run{ObjectMeta: *m}).ForeignMarks(), ResultAnnotation)
	if match := resultName.FindStringSubmatch(m.Annotations[ResultAnnotation]); match != nil &&
		match[1] == m.Namespace &&
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

// LogID returns the identifier of a run's log, derived as Tekton Results does
// (pkg/watcher/results). If the Result's name is no UUID, one derived from the name is the
// namespace.
func LogID(result, uid string) string { return derivedID(result, uid) }

// EventListID is the same for the run's events.
func EventListID(result, uid string) string { return derivedID(result, uid+"eventlist") }

func derivedID(result, text string) string {
	namespace, err := uuid.Parse(result)
	if err != nil {
		namespace = uuid.NewMD5(uuid.Nil, []byte(result))
	}
	return uuid.NewMD5(namespace, []byte(text)).String()
}

// Annotations with user metadata for the Result and its summary: JSON objects of strings.
const (
	ResultAnnotations        = "results.tekton.dev/resultAnnotations"
	RecordSummaryAnnotations = "results.tekton.dev/recordSummaryAnnotations"
)

// CustomMetadata returns the content of such an annotation, nil if it is not an object of strings:
// the record has it in any case.
func CustomMetadata(m *metav1.ObjectMeta, annotation string) map[string]string {
	var custom map[string]string
	if err := json.Unmarshal([]byte(m.Annotations[annotation]), &custom); err != nil {
		return nil
	}
	return custom
}
