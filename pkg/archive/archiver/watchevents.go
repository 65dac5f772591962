package archiver

import (
	"context"
	"errors"
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
	w, err := observed.NewReflector(a.Config, schema.GroupVersionResource{Version: "v1", Resource: "events"},
		&observed.Event{}, func(object []byte) (runtime.Object, error) {
			s := &observed.Event{}
			return s, s.Read(object)
		})
	if err != nil {
		return nil, err
	}
	w.Begin = a.Recent.BeginList
	w.Listed = func(object runtime.Object) runtime.Object {
		a.Recent.AddListed(object.(*observed.Event))
		return nil // Recent has what is kept of it
	}
	w.Initial = func([]any) { a.Recent.EndList() }
	w.Changed = func(object any) { a.Recent.Add(object.(*observed.Event)) }
	w.Deleted = func(object any) {
		s := object.(*observed.Event)
		a.Recent.Delete(types.NamespacedName{Namespace: s.Namespace, Name: s.Name})
	}
	w.Unreadable = a.Unreadable(w.Resource.Resource)
	return w, nil
}

// Unreadable returns what counts objects of a resource that cannot be decoded. It logs the first,
// without anything that it contains: who can make one can make many.
func (a *Archiver) Unreadable(resource string) func(types.NamespacedName) {
	count := a.Metrics.unreadable.WithLabelValues(resource)
	var once sync.Once
	return func(name types.NamespacedName) {
		count.Inc()
		once.Do(func() {
			a.Log.Error(errUnreadable, "An object of the cluster is left out; others are only counted", "resource",
				resource, "object", name.String())
		})
	}
}

// errUnreadable stands for what a decoder says, which may quote what it cannot decode.
var errUnreadable = errors.New("it cannot be decoded")
