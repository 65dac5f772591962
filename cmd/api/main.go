// Command api serves the archive as Tekton Results does: tekton.results.v1alpha2 over gRPC and
// REST; see docs/api.md.
package main

import "github.com/indelible-ci/indelible/pkg/daemon"

// version is set by the linker.
var version = "dev"

func main() { daemon.Main(execute) }
