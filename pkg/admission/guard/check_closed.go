package guard

import "github.com/indelible-ci/indelible/pkg/result"

// Rule "closed": a TaskRun's pod publishes once, all results at once (TEP-0086: "first write,
// subsequent read only"). Before its step ends, the publisher has compared what is stored with the
// files; results added later by another container would not be compared with anything. An attempt
// is closed by its first publication, even one without results, which is recorded by a mark.
func checkClosed(stored status, podUID string, adds bool) *denial {
	if !adds || !isPublished(stored, podUID) {
		return nil
	}
	return invalid(ruleClosed, "status.results: the pod has published its results already, and may not add any")
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

// markPublished records that a pod has published no results: Tekton's own webhook drops an empty
// list but keeps status.annotations. The mark names the pod because it outlives the attempt. A
// completed TaskRun needs none.
func markPublished(stored status, podUID string, adds bool) []operation {
	if adds || isPublished(stored, podUID) || isCompleted(stored) {
		return nil
	}
	marks := annotationsOf(stored)
	marks[result.PublishedAnnotation] = quoteJSON(podUID)
	return []operation{{op: "add", path: "/status/" + statusAnnotations, value: encodeItem(marks)}}
}

const statusAnnotations = "annotations"

// annotationsOf reads status.annotations; anything but an object counts as empty.
func annotationsOf(stored status) fields {
	marks := fields{}
	s := scan(stored.fields[statusAnnotations])
	if s.fieldsInto(marks) != nil {
		return fields{}
	}
	return marks
}
