// Package observed watches the cluster without keeping a copy of it.
//
//	reflector.go  Reflector lists and watches one resource; list.go and stream.go read its lists and
//	              watches, an object at a time
//	run.go        Run: a run from a watch, reduced to what decides whether to do something
//	event.go, events.go
//	              Event, and Events: the events of runs and pods until their run is archived;
//	              queue.go: which are dropped when there are too many
//
// Names, sizes and types in observed objects are chosen by users. Events says what bounds them, and
// one that cannot be read is left out: it must not keep the others from being seen.
package observed
