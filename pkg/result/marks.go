package result

// Annotations that mark a run as archived, and where: ArchivedAnnotation when it was committed, the
// others as in Tekton Results (https://github.com/tektoncd/results,
// pkg/watcher/reconciler/annotation).
const (
	ArchivedAnnotation  = "indelible.dev/archived"
	ResultAnnotation    = "results.tekton.dev/result"
	RecordAnnotation    = "results.tekton.dev/record"
	LogAnnotation       = "results.tekton.dev/log"
	EventListAnnotation = "results.tekton.dev/eventlist"
	StoredAnnotation    = "results.tekton.dev/stored"
)

// Marks returns which of a run's annotations mark it, or the run it was copied from, as archived.
// ResultAnnotation counts only together with others: authors use it alone to group several runs in
// one Result.
func Marks(annotations map[string]string) []string {
	var marks []string
	for _, key := range []string{ArchivedAnnotation, RecordAnnotation, LogAnnotation, EventListAnnotation,
		StoredAnnotation, ResultAnnotation} {
		if _, ok := annotations[key]; ok && (key != ResultAnnotation || len(marks) > 0) {
			marks = append(marks, key)
		}
	}
	return marks
}
