package archiver

import (
	"slices"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// Tekton Chains signs finished runs and records that in annotations. Until it has, its finalizer is
// on the run.
const (
	chainsFinalizer = "chains.tekton.dev"
	// chainsPatience is how long to wait: a broken Chains must not keep runs from the archive.
	chainsPatience = 10 * time.Minute
)

// awaitSigning makes a run wait that Tekton Chains has yet to sign.
func awaitSigning(r *run.Run, now time.Time) error {
	signing := slices.ContainsFunc(r.Finalizers, func(f string) bool { return strings.HasPrefix(f, chainsFinalizer) })
	if signing && r.Since(now).Abs() < chainsPatience { // the time may be in the future, as finishedAgo says
		return &wait{reason: waitChains, detail: "Tekton Chains has not signed it yet", again: chainsPatience / 10}
	}
	return nil
}
