package archiver

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/observed"
)

// WatchEvents watches the cluster's events until ctx ends, to archive without a Controller. It
// returns once the existing events are known.
func (a *Archiver) WatchEvents(ctx context.Context) error {
	w, err := a.EventReflector()
	if err != nil {
		return err
	}
	known := make(chan struct{})
	w.Synced = sync.OnceFunc(func() { close(known) })
	go w.Run(ctx)
	select {
	case <-known:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
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
