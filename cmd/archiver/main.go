// Command archiver moves finished runs into the archive and maintains it; see pkg/archive and
// docs/operations.md.
//
//	root.go       the command line and exit codes; a verb per file: run.go, list.go, get.go …
//	run.go        the server: Lease, configuration, store and index, controller. SIGTERM ends its
//	              context (daemon.Main): attempts are abandoned, the Lease is given up, and the
//	              next replica starts them over.
//	maintain.go   the maintenance tasks beside archiving: index, retention, catalogue, sweep
//	oversize.go   ends runs that are too large for Tekton to write
//	open.go       opens the configured store and index
//	pipeline.go   logs of a whole PipelineRun, for get.go
package main

import "github.com/indelible-ci/indelible/pkg/daemon"

// version is set by the linker.
var version = "dev"

func main() { daemon.Main(execute) }
