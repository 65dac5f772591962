// Command publisher runs inside TaskRun pods; see pkg/publisher.
package main

import (
	"os"

	"github.com/indelible-ci/indelible/pkg/publisher"
)

func main() {
	os.Exit(publisher.Main(os.Args[1:], os.Stdout, os.Stderr))
}
