package result

// Annotations that say of a run that it is in the archive, and where: ArchivedAnnotation when it was committed, the others as
// Tekton Results has them (https://github.com/tektoncd/results, pkg/watcher/reconciler/annotation).
const (
	ArchivedAnnotation  = "indelible.dev/archived"
	ResultAnnotation    = "results.tekton.dev/result"
	RecordAnnotation    = "results.tekton.dev/record"
	LogAnnotation       = "results.tekton.dev/log"
	EventListAnnotation = "results.tekton.dev/eventlist"
	StoredAnnotation    = "results.tekton.dev/stored"
)

// Marks returns which of a run's annotations say that it, or the run that it is a copy of, is in an archive. The name of a Result
// is one of them only beside others: alone it is its author's, who puts several runs into one Result.
func Marks(annotations map[string]string) []string {
	var marks []string
	for _, key := range []string{ArchivedAnnotation, RecordAnnotation, LogAnnotation, EventListAnnotation, StoredAnnotation, ResultAnnotation} {
		if _, ok := annotations[key]; ok && (key != ResultAnnotation || len(marks) > 0) {
			marks = append(marks, key)
		}
	}
	return marks
}
