package observed

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// PageSize is for API servers that cannot stream a list. Runs may have 1.4 MiB each.
const PageSize = 100

// Reflector watches one resource. It keeps no copy of what it sees: seen is told, and decides.
type Reflector struct {
	Resource schema.GroupVersionResource
	kind     string
	expected runtime.Object
	// decode makes an object of its text, which is nobody else's.
	decode func(object []byte) (runtime.Object, error)
	client rest.Interface
	// Strip takes from an object of the first list what is not needed. page does so with some at
	// once, where an API server cannot stream the list; it may be nil.
	Strip cache.TransformFunc
	Page  func(runtime.Object)
	// First is told all objects that there are, when the watch begins and whenever it has to begin
	// anew; seen, one that was added or has changed; gone, one that was deleted, in its last state.
	First      func([]any)
	Seen, Gone func(any)
	Synced     func()
}

// NewReflector makes a watcher whose objects are of the types given.
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

// Run watches until ctx ends. Failures are tried again, with growing pauses, by the reflector.
func (w *Reflector) Run(ctx context.Context) {
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			if options.Limit > 0 && options.ResourceVersion == "0" {
				options.ResourceVersion = "" // from its cache an API server gives all at once, whatever the limit
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
			body, err := w.client.Get().Resource(w.Resource.Resource).VersionedParams(&options,
				metav1.ParameterCodec).Stream(ctx)
			if err != nil && (net.IsProbableEOF(err) || net.IsTimeout(err)) {
				return watch.NewEmptyWatch(), nil // the reflector goes on where it was
			}
			if err != nil {
				return nil, err
			}
			return newStream(body, w.decode), nil
		},
	}
	reflector := cache.NewReflectorWithOptions(source, w.expected, w,
		cache.ReflectorOptions{Name: "archive " + w.Resource.Resource})
	reflector.WatchListPageSize = PageSize
	reflector.RunWithContext(ctx)
}

// Add implements cache.ReflectorStore.
func (w *Reflector) Add(object any) error { w.Seen(object); return nil }

// Update implements cache.ReflectorStore.
func (w *Reflector) Update(object any) error { w.Seen(object); return nil }

// Delete implements cache.ReflectorStore.
func (w *Reflector) Delete(object any) error { w.Gone(object); return nil }

// Replace implements cache.ReflectorStore.
func (w *Reflector) Replace(objects []any, _ string) error {
	w.First(objects)
	w.Synced()
	return nil
}

// Resync implements cache.ReflectorStore.
func (w *Reflector) Resync() error { return nil }

// Transformer implements cache.TransformingStore: the reflector collects the first list before it
// hands it over.
func (w *Reflector) Transformer() cache.TransformFunc { return w.Strip }
