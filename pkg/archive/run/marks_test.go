package run

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestMarksCountOnTheRunThatTheyName(t *testing.T) {
	const own, another = "n/results/r/records/uid", "n/results/r/records/other"
	type annotations = map[string]string
	for name, tt := range map[string]struct {
		annotations annotations
		finalizers  []string
		released    bool
		foreign     []string
	}{
		"a run without marks is not archived": {annotations{"a": "b"}, nil, false, nil},
		"its own marks count": {annotations{"indelible.dev/archived": "t", "results.tekton.dev/record": own,
			"results.tekton.dev/stored": "true"}, nil, true, nil},
		"with the finalizer it is not archived": {annotations{"indelible.dev/archived": "t",
			"results.tekton.dev/record": own}, []string{Finalizer}, false, nil},
		"a copy's marks are foreign": {
			annotations{"indelible.dev/archived": "t", "results.tekton.dev/record": another,
				"results.tekton.dev/stored": "true",
				"results.tekton.dev/result": "n/results/r"}, nil, false,
			[]string{"indelible.dev/archived", "results.tekton.dev/record", "results.tekton.dev/stored",
				"results.tekton.dev/result"},
		},
		"a mark that names no run is foreign": {annotations{"indelible.dev/archived": "t"}, nil, false,
			[]string{"indelible.dev/archived"}},
		"a UID that ends like the run's is another": {annotations{"indelible.dev/archived": "t",
			"results.tekton.dev/record": "n/results/r/records/my-uid"}, nil, false,
			[]string{"indelible.dev/archived", "results.tekton.dev/record"}},
		"what another archive says of this run is not ours": {annotations{"results.tekton.dev/record": own,
			"results.tekton.dev/stored": "true"}, nil, false, nil},
		"the name of a Result alone is its author's": {annotations{"results.tekton.dev/result": "n/results/r"},
			nil, false,
			nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Run{ObjectMeta: metav1.ObjectMeta{UID: "uid", Namespace: "n", Annotations: tt.annotations,
				Finalizers: tt.finalizers}}
			if r.Archived() != tt.released {
				t.Errorf("released is %v", !tt.released)
			}
			if diff := cmp.Diff(tt.foreign, r.ForeignMarks()); diff != "" {
				t.Errorf("foreign marks (-want +got):\n%s", diff)
			}
		})
	}
}

// A rerun has a Result of its own, not that of the run it was copied from.
func TestACopyIsNoPartOfTheOldResult(t *testing.T) {
	m := &metav1.ObjectMeta{UID: "uid", Namespace: "n",
		Annotations: map[string]string{"results.tekton.dev/result": "n/results/r",
			"results.tekton.dev/record": "n/results/r/records/other"}}
	if got := ResultOf(m); got != "uid" {
		t.Errorf("got %q", got)
	}
	delete(m.Annotations, "results.tekton.dev/record")
	if got := ResultOf(m); got != "r" {
		t.Errorf("without the marks: got %q", got)
	}
}
