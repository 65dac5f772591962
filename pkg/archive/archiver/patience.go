package archiver

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// patience remembers since when runs wait for something that may never happen. It is in memory:
// after a restart the wait starts over.
type patience struct{ began sync.Map }

type waitFor struct {
	run    types.UID
	reason string
}

// over reports whether a run has waited longer than bound for a reason. The first call starts the
// wait.
func (p *patience) over(run types.UID, reason string, now time.Time, bound time.Duration) bool {
	began, _ := p.began.LoadOrStore(waitFor{run, reason}, now)
	return now.Sub(began.(time.Time)) > bound
}

func (p *patience) forget(run types.UID) {
	for _, reason := range []string{WaitChildren, waitLogs} {
		p.began.Delete(waitFor{run, reason})
	}
}
