// Package run is a TaskRun, PipelineRun or CustomRun as one read of the API server gave it: its
// record as it is archived, what of it decides (run, owners, containers, kind), the marks by which
// the archiver says on it where it is in the archive (marks, names), and the client that reads and
// changes it (client, list). Nothing is decoded on the way to the record, so that nothing can get
// lost.
package run
