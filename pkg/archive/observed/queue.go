package observed

import "container/heap"

// ranked is a heap (container/heap) whose items know their place in it, so that any can be removed.
type ranked[T interface {
	Before(T) bool
	Moved(to int)
}] []T

func (r ranked[T]) Len() int           { return len(r) }
func (r ranked[T]) Less(i, j int) bool { return r[i].Before(r[j]) }

func (r ranked[T]) Swap(i, j int) {
	r[i], r[j] = r[j], r[i]
	r[i].Moved(i)
	r[j].Moved(j)
}

// Push implements heap.Interface.
func (r *ranked[T]) Push(item any) {
	item.(T).Moved(len(*r))
	*r = append(*r, item.(T))
}

// Pop implements heap.Interface.
func (r *ranked[T]) Pop() any {
	last := len(*r) - 1
	item := (*r)[last]
	var none T
	(*r)[last] = none
	*r = (*r)[:last]
	return item
}

// queuedEvent is an event in the queue of its namespace.
type queuedEvent struct {
	*Event
	// added counts the events, list the lists: in which it came.
	added, list int
	place       int
}

func (q *queuedEvent) Moved(to int) { q.place = to }

// Before: the API server created it earlier. Nobody chooses that time, unlike the event's own.
func (q *queuedEvent) Before(other *queuedEvent) bool {
	if c := q.created.Compare(other.created); c != 0 {
		return c < 0
	}
	return q.added < other.added
}

// eventQueue has the events of a namespace, the oldest first.
type eventQueue struct {
	events ranked[*queuedEvent]
	bytes  int
	place  int
}

func (q *eventQueue) Moved(to int) { q.place = to }

// Before: it has more.
func (q *eventQueue) Before(other *eventQueue) bool { return q.bytes > other.bytes }

// eventQueues has the queues of all namespaces, the largest first.
type eventQueues struct {
	by     map[string]*eventQueue
	ranked ranked[*eventQueue]
}

func (q *eventQueues) add(s *queuedEvent) {
	queue := q.by[s.Namespace]
	if queue == nil {
		queue = &eventQueue{}
		q.by[s.Namespace] = queue
		heap.Push(&q.ranked, queue)
	}
	heap.Push(&queue.events, s)
	queue.bytes += s.bytes()
	heap.Fix(&q.ranked, queue.place)
}

func (q *eventQueues) remove(s *queuedEvent) {
	queue := q.by[s.Namespace]
	heap.Remove(&queue.events, s.place)
	queue.bytes -= s.bytes()
	if queue.events.Len() > 0 {
		heap.Fix(&q.ranked, queue.place)
		return
	}
	heap.Remove(&q.ranked, queue.place)
	delete(q.by, s.Namespace)
}

// oldestOfMost returns the oldest event of the namespace with the most bytes.
func (q *eventQueues) oldestOfMost() *queuedEvent { return q.ranked[0].events[0] }
