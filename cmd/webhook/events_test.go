package main

import (
	"fmt"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// heldSink is an API server that takes the first event only when it is told to, and counts what it
// is asked to store.
type heldSink struct {
	asked  chan struct{}
	answer chan struct{}

	mu     sync.Mutex
	writes map[string]int // by the name of the object an event is about
}

func (s *heldSink) Create(e *corev1.Event) (*corev1.Event, error) {
	s.mu.Lock()
	s.writes[e.InvolvedObject.Name]++
	s.mu.Unlock()
	select {
	case s.asked <- struct{}{}:
	default:
	}
	<-s.answer
	return e, nil
}

func (s *heldSink) Update(e *corev1.Event) (*corev1.Event, error)          { return s.Create(e) }
func (s *heldSink) Patch(e *corev1.Event, _ []byte) (*corev1.Event, error) { return s.Create(e) }

func (s *heldSink) count(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes[name]
}

func aboutTaskRun(name string) *corev1.ObjectReference {
	return &corev1.ObjectReference{Kind: "TaskRun", Namespace: "team", Name: name, UID: "uid"}
}

// TestDenialsAreBounded: reporting never waits for an API server, and the denials of one TaskRun
// are few however many there are, whether their texts are the same or not.
func TestDenialsAreBounded(t *testing.T) {
	for name, text := range map[string]func(int) string{
		"the same write again and again": func(int) string { return "denied" },
		"ever different writes":          func(i int) string { return fmt.Sprintf("denied result %d", i) },
	} {
		t.Run(name, func(t *testing.T) {
			sink := &heldSink{asked: make(chan struct{}, 1), answer: make(chan struct{}), writes: map[string]int{}}
			s := newEventStream(sink, denialBounds)
			t.Cleanup(s.broadcaster.Shutdown)
			s.recorder.Event(aboutTaskRun("attacked"), corev1.EventTypeWarning, "ResultsWriteDenied", text(0))
			<-sink.asked
			for i := range 10_000 { // with nobody taking them: this would hang if the recorder waited
				s.recorder.Event(aboutTaskRun("attacked"), corev1.EventTypeWarning, "ResultsWriteDenied", text(i))
			}
			close(sink.answer)
			// Events are sent in order, so when another TaskRun's has arrived, all before it were
			// sent or dropped. It is dropped itself as long as the queue is full.
			for sink.count("last") == 0 {
				s.recorder.Event(aboutTaskRun("last"), corev1.EventTypeWarning, "ResultsWriteDenied", "denied")
			}
			if n := sink.count("attacked"); n > 10 {
				t.Errorf("%d writes to the API server about one TaskRun, want at most 10", n)
			}
		})
	}
}
