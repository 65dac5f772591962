// Package archiver moves finished runs into the archive, and lets the cluster forget them only
// then.
//
// The life of a run, a phase a file:
//
//	protect   a finalizer keeps the run in the cluster, whoever deletes it
//	snapshot  a live read: the record is what the API server has now; many that wait are read by pages of a list
//	settle    while others still add to the run, it waits
//	children  a PipelineRun waits for the runs it made
//	logs      the output of each step of each attempt, as far as it can still be had
//	events    about the run and its pods
//	upload    each part is stored under a key of this attempt's own, read back and compared
//	commit    the marker, written last: from here on the run is in the archive
//	index     a row, so that it is found
//	release   annotations say where it is, and the finalizer goes
//	prune     after its time in the cluster a released run is deleted, if it is still the one that was archived
//
// Archiver has the order, wait what a run waits for without anything being wrong, and patience how
// long. recovery has what the next archiver does with what one that died has left. refused is about
// runs that admission lets nobody change, and bypass, releaserefused and releaseall about how an
// administrator helps. A run as it was read is in package run, what the cluster shows in observed,
// following logs in podlog, and what is next in controller.
//
// A phase that fails ends the attempt, and the next attempt begins at the beginning: parts are
// never continued, so nothing has to be remembered. TestArchiveKilledAtEachWrite in test/e2e kills
// an archiver before and after each of its writes.
package archiver
