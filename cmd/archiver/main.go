// Command archiver moves finished runs into the archive, and looks after it; see pkg/archive and
// docs/operations.md.
package main

import "github.com/indelible-ci/indelible/pkg/daemon"

// version is set by the linker.
var version = "dev"

func main() { daemon.Main(execute) }
