package archiver

import (
	"slices"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// Others add to a run after Tekton is done with it: Tekton Chains signs it and says so in
// annotations. While it does, its finalizer is on the run.
const (
	chainsFinalizer = "chains.tekton.dev"
	// chainsPatience is how long the archive waits: a Chains that does not work must not keep runs
	// for ever.
	chainsPatience = 10 * time.Minute
)

// settled holds a run back that others still add to.
func settled(r *run.Run, now time.Time) error {
	signing := slices.ContainsFunc(r.Finalizers, func(f string) bool { return strings.HasPrefix(f, chainsFinalizer) })
	if signing && r.Since(now) < chainsPatience {
		return &wait{reason: waitChains, detail: "Tekton Chains has not signed it yet", again: chainsPatience / 10}
	}
	return nil
}
