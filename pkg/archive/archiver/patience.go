package archiver

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// patience remembers since when runs wait for what may never come. It is this process's: after a
// restart, or for runs that finished while no archiver was there, it begins anew.
type patience struct{ began sync.Map }

type waitFor struct {
	run    types.UID
	reason string
}

// over says whether a run has waited for that long for the same. The first time it asks it begins
// to wait.
func (p *patience) over(run types.UID, reason string, now time.Time, bound time.Duration) bool {
	began, _ := p.began.LoadOrStore(waitFor{run, reason}, now)
	return now.Sub(began.(time.Time)) > bound
}

func (p *patience) forget(run types.UID) {
	for _, reason := range []string{WaitChildren, waitLogs} {
		p.began.Delete(waitFor{run, reason})
	}
}
