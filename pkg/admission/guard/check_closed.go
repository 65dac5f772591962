package guard

import "github.com/indelible-ci/indelible/pkg/result"

// Rule "closed": a TaskRun's pod publishes once, all at once (TEP-0086: "first write, subsequent read only"). The publisher has
// compared what is stored with the files by the time its step ends; what another container added later would be compared
// with nothing. Whatever was published closes the attempt's results, and so does that nothing was, of which a mark is left.
func checkClosed(stored status, podUID string, adds bool) *denial {
	if !adds || !isPublished(stored, podUID) {
		return nil
	}
	return invalid(ruleClosed, "status.results: the pod has published its results already, and may add none")
}

func isPublished(stored status, podUID string) bool {
	if len(stored.results.list) > 0 {
		return true
	}
	for _, st := range stored.steps.list {
		if len(st.results.list) > 0 {
			return true
		}
	}
	return annotationsOf(stored).text(result.PublishedAnnotation) == podUID
}

// markPublished remembers that a pod has published nothing: Tekton's own webhook drops an empty list, and keeps
// status.annotations. The mark names the pod, because it outlives the attempt. A finished TaskRun needs none.
func markPublished(stored status, podUID string, adds bool) []operation {
	if adds || isPublished(stored, podUID) || isCompleted(stored) {
		return nil
	}
	marks := annotationsOf(stored)
	marks[result.PublishedAnnotation] = quoteJSON(podUID)
	return []operation{{op: "add", path: "/status/" + statusAnnotations, value: encodeItem(marks)}}
}

const statusAnnotations = "annotations"

// annotationsOf reads status.annotations. What is no object is none.
func annotationsOf(stored status) fields {
	marks := fields{}
	s := scan(stored.fields[statusAnnotations])
	if s.fieldsInto(marks) != nil {
		return fields{}
	}
	return marks
}
