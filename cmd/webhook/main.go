// Command webhook serves inject, guard and protect; see docs/life-of-a-result.md.
package main

import "github.com/indelible-ci/indelible/pkg/daemon"

// version is set by the linker.
var version = "dev"

func main() { daemon.Main(run) }
