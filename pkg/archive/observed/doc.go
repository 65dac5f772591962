// Package observed watches the cluster without keeping a copy of it.
//
//	reflector.go  Reflector lists and watches one resource; stream.go decodes its watch
//	run.go        Run: a run from a watch, reduced to what decides whether to do something
//	events.go     Event, and Events: the events of runs and pods until their run is archived
//
// Names and sizes in observed objects are chosen by users; Events says what bounds them.
package observed
