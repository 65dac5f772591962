package archiver

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/observed"
)

// Watch watches the cluster's events and runs until ctx ends, to archive without a Controller. It
// returns once those that exist are known.
func (a *Archiver) Watch(ctx context.Context) error {
	events, err := a.EventReflector()
	if err != nil {
		return err
	}
	all, err := a.RunReflectors()
	if err != nil {
		return err
	}
	all = append(all, events)
	known := make(chan struct{}, len(all))
	for _, w := range all {
		w.Synced = sync.OnceFunc(func() { known <- struct{}{} })
		go w.Run(ctx)
	}
	for range all {
		select {
		case <-known:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// EventReflector returns the reflector that keeps Recent up to date.
func (a *Archiver) EventReflector() (*observed.Reflector, error) {
	w, err := observed.NewReflector(a.Config, schema.GroupVersionResource{Version: "v1", Resource: "events"}, "Event",
		&observed.Event{}, &observed.EventList{}, func(object []byte) (runtime.Object, error) {
			s := &observed.Event{}
			return s, s.Read(object)
		})
	if err != nil {
		return nil, err
	}
	w.Initial = func(objects []any) {
		all := make([]*observed.Event, 0, len(objects))
		for _, o := range objects {
			all = append(all, o.(*observed.Event))
		}
		a.Recent.Replace(all)
	}
	w.Transform = func(object any) (any, error) {
		if s, ok := object.(*observed.Event); ok {
			a.Recent.AddListed(s)
		}
		return object, nil
	}
	w.Changed = func(object any) { a.Recent.Add(object.(*observed.Event)) }
	w.Deleted = func(object any) {
		s := object.(*observed.Event)
		a.Recent.Delete(types.NamespacedName{Namespace: s.Namespace, Name: s.Name})
	}
	return w, nil
}
