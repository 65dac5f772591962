package archiver

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// WatchEvents watches the cluster's events until ctx ends, for archiving without a Controller. It returns when they are known.
func (a *Archiver) WatchEvents(ctx context.Context) error {
	w, err := a.watchEvents()
	if err != nil {
		return err
	}
	known := make(chan struct{})
	w.synced = sync.OnceFunc(func() { close(known) })
	go w.run(ctx)
	select {
	case <-known:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watchEvents makes the watcher of events.
func (a *Archiver) watchEvents() (*watcher, error) {
	w, err := newWatcher(a.Config, schema.GroupVersionResource{Version: "v1", Resource: "events"}, "Event", &eventSighting{}, &eventSightings{}, func(object []byte) (runtime.Object, error) {
		s := &eventSighting{}
		return s, s.read(object)
	})
	if err != nil {
		return nil, err
	}
	w.first = func(objects []any) {
		all := make([]*eventSighting, 0, len(objects))
		for _, o := range objects {
			all = append(all, o.(*eventSighting))
		}
		a.recent.replace(all)
	}
	w.strip = func(object any) (any, error) {
		if s, ok := object.(*eventSighting); ok {
			a.recent.list(s)
		}
		return object, nil
	}
	w.seen = func(object any) { a.recent.add(object.(*eventSighting)) }
	w.gone = func(object any) {
		s := object.(*eventSighting)
		a.recent.delete(types.NamespacedName{Namespace: s.Namespace, Name: s.Name})
	}
	return w, nil
}
