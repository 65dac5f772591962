// Package controller decides which run an archiver.Archiver handles next, and reports what waits
// and why.
//
//	controller.go   Controller: reflectors, queue, priorities, workers, retries. When its context
//	                ends (SIGTERM, lost Lease) attempts are abandoned, not finished: the next
//	                process starts them over.
//	awaitevents.go  nothing is archived before the cluster's events are known, for a while
//	backlog.go      runs that waited when it started; pages.go reads many of them by list
//	logs.go         whose logs are followed, and whose are forgotten
//	deleted.go      runs deleted before they were protected; archivedeleted.go: the attempts to
//	                archive them
//	pruning.go      when archived runs are due for deletion from the cluster
//	waitingruns.go  what waits and why, for metrics and log
//	backoff.go      no attempts while the store or index does not answer; cause.go: whether an
//	                error says so, or is due to what the run contains
package controller
