package observed

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// PageSize is the page size for API servers that cannot stream a list. Each page costs a request,
// and is read as it arrives.
const PageSize = 100

// Reflector watches one resource. It keeps no objects, but calls Listed, Initial, Changed and
// Deleted.
//
// One object must not end the watch of all: what cannot be decoded is left out.
type Reflector struct {
	Resource schema.GroupVersionResource
	// Fields is a field selector; empty selects all.
	Fields string
	// nothing stands for an object of which Listed keeps nothing, as client-go counts what arrives.
	nothing runtime.Object
	// decode makes an object from its JSON, which it may keep.
	decode func(object []byte) (runtime.Object, error)
	client rest.Interface
	// Begin is called when a list of all existing objects begins: when the watch starts, and
	// whenever it or the list has to start over. It may be nil.
	Begin func()
	// Listed is called with each object of the list as it arrives, and returns what Initial is to
	// get of it, nil for nothing: all of a list may not fit into memory.
	Listed func(runtime.Object) runtime.Object
	// Initial is called with what Listed returned when the list is complete; Changed with an object
	// that was added or has changed; Deleted with the last state of one that was deleted. Synced is
	// called after Initial.
	Initial          func([]any)
	Changed, Deleted func(any)
	Synced           func()
	// Unreadable is called with the name of each object that cannot be decoded.
	Unreadable func(types.NamespacedName)
	// whole: Initial was called with all objects since they were last asked for. streams is how many
	// connections there are on which changes come: one, and for a moment the one before.
	whole   atomic.Bool
	streams atomic.Int32
}

// UpToDate reports whether the watch is connected, so that every change is known or on its way. It
// is not while it starts over: nobody has said what was created meanwhile.
func (w *Reflector) UpToDate() bool { return w.whole.Load() && w.streams.Load() > 0 }

// NewReflector returns a Reflector of objects of the type of nothing, which is an empty one.
func NewReflector(config *rest.Config, resource schema.GroupVersionResource, nothing runtime.Object,
	decode func([]byte) (runtime.Object, error),
) (*Reflector, error) {
	gv := resource.GroupVersion()
	config = rest.CopyConfig(config)
	config.GroupVersion, config.APIPath = &gv, "/apis"
	if gv.Group == "" {
		config.APIPath = "/api"
	}
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion() // of errors; objects are read here
	config.ContentType, config.AcceptContentTypes = "application/json", "application/json"
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make a client to watch %s: %w", resource.Resource, err)
	}
	return &Reflector{Resource: resource, nothing: nothing, decode: decode, client: client}, nil
}

// Run watches until ctx ends. client-go's reflector retries failures with growing delays.
func (w *Reflector) Run(ctx context.Context) {
	source := &cache.ListWatch{ListWithContextFunc: w.list, WatchFuncWithContext: w.watch}
	reflector := cache.NewReflectorWithOptions(source, w.nothing, w,
		cache.ReflectorOptions{Name: "archive " + w.Resource.Resource})
	reflector.WatchListPageSize = PageSize
	reflector.RunWithContext(ctx)
}

func (w *Reflector) request(options *metav1.ListOptions) *rest.Request {
	options.FieldSelector = w.Fields
	return w.client.Get().Resource(w.Resource.Resource).VersionedParams(options, metav1.ParameterCodec)
}

// list reads a page, or all objects.
func (w *Reflector) list(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	if options.Limit > 0 && options.ResourceVersion == "0" {
		options.ResourceVersion = "" // from its cache an API server ignores the limit
	}
	if options.Continue == "" {
		w.begin()
	}
	body, err := w.request(&options).Stream(ctx)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	page := &metainternal.List{}
	page.ListMeta, err = ReadList(body, func(text []byte) {
		object, err := w.decode(text)
		if err != nil {
			w.unreadable(text)
			return
		}
		if kept := w.Listed(object); kept != nil {
			page.Items = append(page.Items, kept)
		}
	})
	return page, err
}

// watch opens a watch, which begins with all objects if the options say so (WatchList).
func (w *Reflector) watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	options.Watch = true
	lists := options.SendInitialEvents != nil && *options.SendInitialEvents
	if lists {
		w.whole.Store(false)
	}
	body, err := w.request(&options).Stream(ctx)
	if err != nil && (net.IsProbableEOF(err) || net.IsTimeout(err)) {
		return watch.NewEmptyWatch(), nil // the reflector continues
	}
	if err != nil {
		return nil, err
	}
	w.streams.Add(1)
	from := &stream{body: body, decode: w.decode, unreadable: w.unreadable, ended: func() { w.streams.Add(-1) }}
	if lists {
		w.begin()
		from.listed = w.listed
	}
	return from.start(), nil
}

// begin is called when a list begins.
func (w *Reflector) begin() {
	w.whole.Store(false)
	if w.Begin != nil {
		w.Begin()
	}
}

// listed returns what the reflector collects of an object of a streamed list.
func (w *Reflector) listed(object runtime.Object) runtime.Object {
	if kept := w.Listed(object); kept != nil {
		return kept
	}
	return w.nothing
}

// unreadable reports an object that cannot be decoded. Its name may be all that can.
func (w *Reflector) unreadable(object []byte) {
	var name types.NamespacedName
	_ = jsonscan.Wanted{"metadata": jsonscan.Lenient{To: jsonscan.Wanted{
		"namespace": &name.Namespace, "name": &name.Name,
	}}}.Read(object)
	w.Unreadable(name)
}

// Add implements cache.ReflectorStore.
func (w *Reflector) Add(object any) error { w.Changed(object); return nil }

// Update implements cache.ReflectorStore.
func (w *Reflector) Update(object any) error { w.Changed(object); return nil }

// Delete implements cache.ReflectorStore.
func (w *Reflector) Delete(object any) error { w.Deleted(object); return nil }

// Replace implements cache.ReflectorStore.
func (w *Reflector) Replace(objects []any, _ string) error {
	w.Initial(slices.DeleteFunc(objects, func(o any) bool { return o == any(w.nothing) }))
	w.whole.Store(true)
	w.Synced()
	return nil
}

// Resync implements cache.ReflectorStore.
func (w *Reflector) Resync() error { return nil }
