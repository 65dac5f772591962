package observed

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// stream is a watch in JSON, one event per line. client-go's own decoders would read each object
// about ten times, for generality not needed here.
type stream struct {
	body io.ReadCloser
	// decode may keep the JSON it is given. unreadable is called with what it cannot decode.
	decode     func(object []byte) (runtime.Object, error)
	unreadable func(object []byte)
	// listed replaces each object of the list of existing ones that a watch may begin with. It is nil
	// after its end.
	listed func(runtime.Object) runtime.Object
	events chan watch.Event
	stop   sync.Once
	// stopped ends the wait for a receiver.
	stopped chan struct{}
	// ended is called once nothing comes any more.
	ended func()
}

// start starts reading.
func (s *stream) start() *stream {
	s.events, s.stopped = make(chan watch.Event), make(chan struct{})
	go s.run()
	return s
}

// ResultChan implements watch.Interface.
func (s *stream) ResultChan() <-chan watch.Event { return s.events }

// Stop implements watch.Interface.
func (s *stream) Stop() {
	s.stop.Do(func() {
		close(s.stopped)
		_ = s.body.Close() // ends a blocked read
	})
}

// run ends with the connection, whatever the reason: the reflector continues with another one.
func (s *stream) run() {
	defer close(s.events)
	defer s.Stop()
	defer s.ended()
	lines := bufio.NewReaderSize(s.body, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		event := s.event(line)
		if event == nil {
			continue
		}
		select {
		case s.events <- *event:
		case <-s.stopped:
			return
		}
	}
}

// event decodes a line. It returns nil for an object that cannot be decoded: anybody's object must
// not end the watch of all, which would start over with a list that has the same object. Anything
// else that cannot be decoded becomes an error, which makes the watch start over.
func (s *stream) event(line []byte) *watch.Event {
	kind, text, err := cutEvent(line)
	if err != nil {
		return failure(err)
	}
	if kind == watch.Error {
		status := &metav1.Status{}
		if err := json.Unmarshal(text, status); err != nil {
			return failure(err)
		}
		return &watch.Event{Type: kind, Object: status}
	}
	object, err := s.decode(text)
	switch {
	case err != nil && kind == watch.Bookmark:
		return failure(err)
	case err != nil:
		s.unreadable(text)
		return nil
	}
	return &watch.Event{Type: kind, Object: s.ofList(kind, object)}
}

// ofList returns what is collected of an object, while the list lasts.
func (s *stream) ofList(kind watch.EventType, object runtime.Object) runtime.Object {
	if s.listed == nil {
		return object
	}
	switch kind {
	case watch.Added, watch.Modified:
		return s.listed(object)
	case watch.Bookmark:
		if about, err := meta.Accessor(object); err == nil &&
			about.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true" {
			s.listed = nil
		}
	}
	return object
}

func failure(err error) *watch.Event {
	return &watch.Event{Type: watch.Error,
		Object: &apierrors.NewInternalError(fmt.Errorf("read an event of a watch: %w", err)).ErrStatus}
}

// cutEvent returns the type and the object's JSON of a metav1.WatchEvent. In the form the API
// server writes, only the type has to be parsed.
func cutEvent(line []byte) (watch.EventType, []byte, error) {
	const begin, between = `{"type":"`, `","object":`
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte(begin))
	kind, object, ok2 := bytes.Cut(rest, []byte(between))
	if ok && ok2 && len(kind) <= len("BOOKMARK") && bytes.HasSuffix(object, []byte("}}")) {
		return watch.EventType(kind), object[:len(object)-1], nil
	}
	var event struct {
		Type   watch.EventType `json:"type"`
		Object json.RawMessage `json:"object"`
	}
	if err := json.Unmarshal(line, &event); err != nil {
		return "", nil, err
	}
	if event.Type == "" || event.Object == nil {
		return "", nil, errors.New("neither type nor object")
	}
	return event.Type, event.Object, nil
}
