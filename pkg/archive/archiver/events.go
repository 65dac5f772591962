package archiver

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

// events stores the events about the run, and about its pods, in the order of their first times. A run without any has no part.
func (u *upload) events(ctx context.Context) error {
	list := corev1.EventList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "EventList"}, Items: []corev1.Event{}}
	selectors := []fields.Set{{"involvedObject.uid": string(u.run.UID)}}
	for _, attempt := range u.run.attempts() {
		selectors = append(selectors, fields.Set{"involvedObject.kind": "Pod", "involvedObject.name": attempt.PodName})
	}
	for _, selector := range selectors {
		found, err := u.pods.CoreV1().Events(u.run.Namespace).List(ctx, metav1.ListOptions{FieldSelector: selector.AsSelector().String()})
		if err != nil {
			return fmt.Errorf("list events: %w", err)
		}
		list.Items = append(list.Items, found.Items...)
	}
	if len(list.Items) == 0 {
		return nil
	}
	slices.SortStableFunc(list.Items, func(a, b corev1.Event) int {
		return cmp.Or(a.FirstTimestamp.Compare(b.FirstTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	for i := range list.Items {
		list.Items[i].ManagedFields = nil
	}
	data, err := json.Marshal(&list)
	if err != nil {
		return fmt.Errorf("list events: %w", err)
	}
	return u.json(ctx, manifest.Events, "events.json", data)
}
