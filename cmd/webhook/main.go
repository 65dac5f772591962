// Command webhook serves the admission webhooks inject, guard, carry-over, report, fit and protect;
// see docs/life-of-a-result.md.
package main

import "github.com/indelible-ci/indelible/pkg/daemon"

// version is set by the linker.
var version = "dev"

func main() { daemon.Main(run) }
