package archiver

import (
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// annotationsFit refuses what the API server refuses: more than 256 KiB of annotations.
func annotationsFit(m *metav1.ObjectMeta) *apierrors.StatusError {
	errs := validation.ValidateAnnotations(m.Annotations, field.NewPath("metadata", "annotations"))
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: "tekton.dev", Kind: "TaskRun"}, "build", errs)
}

// noLarger refuses a run with any annotation, as a limit for the whole object would.
func noLarger(code int32, message string) func(*metav1.ObjectMeta) *apierrors.StatusError {
	return func(m *metav1.ObjectMeta) *apierrors.StatusError {
		if len(m.Annotations) == 0 {
			return nil
		}
		return &apierrors.StatusError{ErrStatus: metav1.Status{Code: code, Message: message}}
	}
}

func TestRunsWithoutRoomForAnnotationsAreReleased(t *testing.T) {
	filled := func(left int) string {
		return `,"annotations":{"mine":"` + strings.Repeat("x", 256<<10-len("mine")-left) + `"}`
	}
	for name, tt := range map[string]struct {
		metadata string
		admit    func(*metav1.ObjectMeta) *apierrors.StatusError
		// marked: the mark is there; stored: all other annotations are.
		marked, stored bool
	}{
		"room for all":                     {filled(2000), annotationsFit, true, true},
		"room for the mark":                {filled(400), annotationsFit, true, false},
		"no room":                          {filled(50), annotationsFit, false, false},
		"the object is at the API's limit": {admit: noLarger(http.StatusRequestEntityTooLarge, "limit is 3145728")},
		"the object is at etcd's limit":    {admit: noLarger(500, "etcdserver: request is too large")},
		"the object is at gRPC's limit":    {admit: noLarger(500, "trying to send message larger than max (2 vs. 1)")},
	} {
		t.Run(name, func(t *testing.T) {
			c := &cluster{t: t, object: finished("TaskRun", tt.metadata, "", ""), admit: tt.admit}
			a := c.archiver(None, nil)
			archived(t, a, "TaskRun")
			now, err := run.Parse(c.object)
			if err != nil {
				t.Fatal(err)
			}
			stored := now.Annotations[run.StoredAnnotation] != ""
			if now.Protected() || now.Archived() != tt.marked || stored != tt.stored {
				t.Errorf("protected: %v, archived: %v, stored: %v", now.Protected(), now.Archived(), stored)
			}
			// The watch shows the change: the commit decides, and nothing is written.
			wrote := len(c.patches)
			result, err := a.Archive(t.Context(), now.Reference(), true)
			if err != nil || result.Outcome != Archived || result.Again != 0 || len(c.patches) != wrote {
				t.Errorf("then %+v, %v, %d writes", result, err, len(c.patches)-wrote)
			}
		})
	}
}
