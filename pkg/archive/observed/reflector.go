package observed

import (
	"context"
	"fmt"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// PageSize is the page size for API servers that cannot stream a list. A run may have 1.4 MiB.
const PageSize = 100

// Reflector watches one resource. It keeps no objects, but calls Initial, Changed and Deleted.
type Reflector struct {
	Resource schema.GroupVersionResource
	kind     string
	expected runtime.Object
	// decode makes an object from its JSON, which it may keep.
	decode func(object []byte) (runtime.Object, error)
	client rest.Interface
	// Transform removes from an object of the first list what is not needed. Page does the same for
	// a page of objects if the API server cannot stream the list; it may be nil.
	Transform cache.TransformFunc
	Page      func(runtime.Object)
	// Initial is called with all existing objects, when the watch starts and whenever it has to
	// start over; Changed with an object that was added or has changed; Deleted with the last state
	// of one that was deleted. Synced is called after Initial.
	Initial          func([]any)
	Changed, Deleted func(any)
	Synced           func()
	// whole: Initial was called with all objects since they were last asked for. streams is how many
	// connections there are on which changes come: one, and for a moment the one before.
	whole   atomic.Bool
	streams atomic.Int32
}

// UpToDate reports whether the watch is connected, so that every change is known or on its way. It
// is not while it starts over: nobody has said what was created meanwhile.
func (w *Reflector) UpToDate() bool { return w.whole.Load() && w.streams.Load() > 0 }

// NewReflector returns a Reflector of objects and lists of the given types.
func NewReflector(config *rest.Config, resource schema.GroupVersionResource, kind string, one, list runtime.Object,
	decode func([]byte) (runtime.Object, error),
) (*Reflector, error) {
	types := runtime.NewScheme()
	gv := resource.GroupVersion()
	types.AddKnownTypeWithName(gv.WithKind(kind), one)
	types.AddKnownTypeWithName(gv.WithKind(kind+"List"), list)
	metav1.AddToGroupVersion(types, gv)
	if gv != (schema.GroupVersion{Version: "v1"}) {
		metav1.AddToGroupVersion(types, schema.GroupVersion{Version: "v1"})
	}
	config = rest.CopyConfig(config)
	config.GroupVersion, config.APIPath = &gv, "/apis"
	if gv.Group == "" {
		config.APIPath = "/api"
	}
	config.NegotiatedSerializer = serializer.NewCodecFactory(types).WithoutConversion()
	config.ContentType, config.AcceptContentTypes = "application/json", "application/json"
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make a client to watch %s: %w", resource.Resource, err)
	}
	return &Reflector{Resource: resource, kind: kind, expected: one, decode: decode, client: client}, nil
}

// Run watches until ctx ends. client-go's reflector retries failures with growing delays.
func (w *Reflector) Run(ctx context.Context) {
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			w.whole.Store(false)
			if options.Limit > 0 && options.ResourceVersion == "0" {
				options.ResourceVersion = "" // from its cache an API server ignores the limit
			}
			page, err := w.client.Get().Resource(w.Resource.Resource).VersionedParams(&options,
				metav1.ParameterCodec).Do(ctx).Get()
			if err == nil && w.Page != nil {
				w.Page(page)
			}
			return page, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.Watch = true
			if options.SendInitialEvents != nil && *options.SendInitialEvents {
				w.whole.Store(false)
			}
			body, err := w.client.Get().Resource(w.Resource.Resource).VersionedParams(&options,
				metav1.ParameterCodec).Stream(ctx)
			if err != nil && (net.IsProbableEOF(err) || net.IsTimeout(err)) {
				return watch.NewEmptyWatch(), nil // the reflector continues
			}
			if err != nil {
				return nil, err
			}
			w.streams.Add(1)
			return newStream(body, w.decode, func() { w.streams.Add(-1) }), nil
		},
	}
	reflector := cache.NewReflectorWithOptions(source, w.expected, w,
		cache.ReflectorOptions{Name: "archive " + w.Resource.Resource})
	reflector.WatchListPageSize = PageSize
	reflector.RunWithContext(ctx)
}

// Add implements cache.ReflectorStore.
func (w *Reflector) Add(object any) error { w.Changed(object); return nil }

// Update implements cache.ReflectorStore.
func (w *Reflector) Update(object any) error { w.Changed(object); return nil }

// Delete implements cache.ReflectorStore.
func (w *Reflector) Delete(object any) error { w.Deleted(object); return nil }

// Replace implements cache.ReflectorStore.
func (w *Reflector) Replace(objects []any, _ string) error {
	w.Initial(objects)
	w.whole.Store(true)
	w.Synced()
	return nil
}

// Resync implements cache.ReflectorStore.
func (w *Reflector) Resync() error { return nil }

// Transformer implements cache.TransformingStore: the reflector collects the whole first list
// before it calls Replace.
func (w *Reflector) Transformer() cache.TransformFunc { return w.Transform }
