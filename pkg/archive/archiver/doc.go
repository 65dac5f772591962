// Package archiver moves finished runs into the archive, and removes their finalizer only then.
//
// The life of a run, a file per phase, and what a crash during it leaves:
//
//	protect.go          Adds the finalizer, which keeps the run in the cluster whoever deletes
//	                    it. Normally the webhook has done so.
//	snapshot.go         Reads the run from the API server: the record is what it has now. Runs
//	                    of a start-up backlog come from pages of a list instead.
//	awaitsigning.go     Waits while Tekton Chains still signs the run (phase "settle").
//	children.go         A PipelineRun waits for the runs it created.
//	awaitcontainers.go  A finished run waits for containers that are about to end.
//	upload.go, logs.go, events.go
//	                    Store record, logs and events: each part under a key of this attempt,
//	                    read back and compared. A crash leaves parts without a commit, which
//	                    the sweep deletes after a day.
//	                    fitlogs.go decides before which logs the commit has room for;
//	                    followedlogs.go stores those that were followed.
//	commit.go           Writes the commit, last, and reads it back: now the run is archived. A
//	                    crash leaves it committed and protected; recovery.go continues.
//	addtoindex.go       Adds a row to the index. A crash leaves the run committed and protected.
//	removefinalizer.go  Annotates the run and removes the finalizer, in one write (phase
//	                    "release").
//	prune.go            Deletes the run once its time in the cluster is over, if it is still the
//	                    one that was archived.
//
// A failed phase ends the attempt, and the next attempt starts over: parts are never continued, so
// there is no state to remember. TestArchiveKilledAtEachWrite in test/e2e kills an archiver before
// and after each of its writes.
//
// The other files:
//
//	archiver.go   Archiver, which calls the phases in order
//	wait.go       what a run may wait for without an error
//	notes.go      what is remembered of runs between attempts, such as since when they wait
//	recovery.go   what an attempt does about an earlier one that got as far as the commit
//	refused.go    runs whose finalizer admission lets nobody remove
//	helprefused.go, uninstall.go, bypass.go
//	              the same for administrators: archiver release --refused, archiver release, and
//	              keeping Tekton's admission away meanwhile
//	whostays.go, marked.go
//	              what archiver keep and archiver fsck ask of the cluster
//	watchevents.go, watchruns.go
//	              the watches; metrics.go: all metrics
//
// Package run reads and changes runs, observed watches the cluster, podlog follows logs, and
// controller decides which run is next.
package archiver
