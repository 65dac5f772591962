// Package run is a TaskRun, PipelineRun or CustomRun as the API server returned it.
//
//	run.go         Run, its attempts and outcome; record.go: the object as it is archived
//	status.go      what is read of a status, whatever somebody has written there
//	marks.go       finalizer, class label, opt-out, and the annotations of archived runs;
//	               names.go: the names of Tekton Results in them
//	owners.go      which run created which
//	containers.go  which containers have logs, and whether they have ended
//	references.go  which Pipeline or Task a run is of
//	client.go, list.go
//	               read, change and delete runs; Resources in client.go are the archived kinds
//
// The record is cut out of the object's JSON and never decoded, so that nothing is lost.
package run
