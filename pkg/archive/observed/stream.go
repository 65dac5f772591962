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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// stream is a watch in JSON, one event per line. client-go's own decoders would read each object
// about ten times, for generality not needed here.
type stream struct {
	body   io.ReadCloser
	decode func(object []byte) (runtime.Object, error)
	events chan watch.Event
	stop   sync.Once
	// stopped ends the wait for a receiver.
	stopped chan struct{}
	// ended is called once nothing comes any more.
	ended func()
}

// newStream starts reading. decode may keep the JSON it is given.
func newStream(body io.ReadCloser, decode func(object []byte) (runtime.Object, error), ended func()) *stream {
	s := &stream{body: body, decode: decode, events: make(chan watch.Event), stopped: make(chan struct{}),
		ended: ended}
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
		select {
		case s.events <- s.event(line):
		case <-s.stopped:
			return
		}
	}
}

// event decodes a line. One that cannot be decoded becomes an error, which makes the watch start
// over with a full list.
func (s *stream) event(line []byte) watch.Event {
	kind, object, err := cutEvent(line)
	var of runtime.Object
	switch {
	case err != nil:
	case kind == watch.Error:
		status := &metav1.Status{}
		of, err = status, json.Unmarshal(object, status)
	default:
		of, err = s.decode(object)
	}
	if err != nil {
		return watch.Event{Type: watch.Error,
			Object: &apierrors.NewInternalError(fmt.Errorf("read an event of a watch: %w", err)).ErrStatus}
	}
	return watch.Event{Type: kind, Object: of}
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
