package controller

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// maxDeleted is the most bytes of deleted runs that wait to be archived, half of them of one
// namespace: whoever can take our finalizer off can have any number of runs wait.
const maxDeleted = 24 << 20

// Deleted has runs that were deleted before they were protected, in their last state from the
// watch. This process has the only copy, so it outlives a Controller, which ends with each change
// of the configuration. With the webhook in place such runs are rare.
type Deleted struct {
	mu   sync.Mutex
	runs map[types.UID]*deletedRun
	// bytes by namespace, and of all.
	bytes map[string]int
	all   int
}

// deletedRun is a run in its last state.
type deletedRun struct {
	run.Reference
	uid    types.UID
	object []byte
	// failing is since when attempts fail although store and index are there; zero if they do not.
	// Whoever makes the attempt has it.
	failing time.Time
}

// add adds a run, and reports whether there was room.
func (d *Deleted) add(r *deletedRun) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.runs == nil {
		d.runs, d.bytes = map[types.UID]*deletedRun{}, map[string]int{}
	}
	if d.runs[r.uid] != nil {
		return true
	}
	size := len(r.object)
	if d.all+size > maxDeleted || d.bytes[r.Namespace]+size > maxDeleted/2 {
		return false
	}
	d.runs[r.uid] = r
	d.all += size
	d.bytes[r.Namespace] += size
	return true
}

func (d *Deleted) remove(r *deletedRun) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.runs, r.uid)
	d.all -= len(r.object)
	if d.bytes[r.Namespace] -= len(r.object); d.bytes[r.Namespace] == 0 {
		delete(d.bytes, r.Namespace)
	}
}

// get returns a run, nil if it does not wait.
func (d *Deleted) get(uid types.UID) *deletedRun {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.runs[uid]
}

func (d *Deleted) uids() []types.UID {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]types.UID, 0, len(d.runs))
	for uid := range d.runs {
		all = append(all, uid)
	}
	return all
}

// keepDeleted keeps a deleted run to be archived, and reports whether there was room. Else it is
// lost.
func (c *Controller) keepDeleted(s *observed.Run) bool {
	if s.Object == nil || !c.Deleted.add(&deletedRun{Reference: s.Reference(), uid: s.UID, object: s.Object}) {
		c.Metrics.Lost.Inc()
		c.Log.Info("A run was deleted before it could be protected, and is lost to the archive", "run",
			s.Reference().String())
		return false
	}
	c.retries.Add(s.UID)
	return true
}
