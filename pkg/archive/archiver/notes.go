package archiver

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// notes are what this process remembers of runs between attempts. Another process does without: it
// asks again, and waits begin anew. They are dropped with whatever an attempt finds that ends the
// archiver's interest in the run.
type notes struct {
	mu sync.Mutex
	// runs has the notes by reference, as all that is known of a run that is gone is its name. There
	// are several of a name if a run was deleted and created again.
	runs map[run.Reference][]*note
}

// note is what is remembered of one run.
type note struct {
	uid types.UID
	// committed: the archive has the run. indexed: so does the index, or it refuses the run. Runs of a
	// backlog are handled twice, and their PipelineRuns ask for them.
	committed, indexed bool
	// began is since when the run waits for something that may never happen, by reason.
	began map[string]time.Time
	// children is how many of the run's children were read, and need not be again. inArchive has those
	// of the others that an earlier attempt has found in the archive.
	children  int
	inArchive map[string]bool
}

// find returns the notes of a run, nil if there are none. It is called with mu held.
func (n *notes) find(ref run.Reference, uid types.UID) *note {
	for _, of := range n.runs[ref] {
		if of.uid == uid {
			return of
		}
	}
	return nil
}

// read calls do with the notes of a run, empty ones if there are none.
func (n *notes) read(ref run.Reference, uid types.UID, do func(*note)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if of := n.find(ref, uid); of != nil {
		do(of)
		return
	}
	do(&note{})
}

// write calls do with the notes of a run, to change them.
func (n *notes) write(ref run.Reference, uid types.UID, do func(*note)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	of := n.find(ref, uid)
	if of == nil {
		if n.runs == nil {
			n.runs = map[run.Reference][]*note{}
		}
		of = &note{uid: uid}
		n.runs[ref] = append(n.runs[ref], of)
	}
	do(of)
}

// waits returns how long a run has waited for a reason. The first call starts the wait.
func (n *notes) waits(r *run.Run, reason string, now time.Time) (waited time.Duration) {
	n.write(r.Reference(), r.UID, func(of *note) {
		began, ok := of.began[reason]
		if !ok {
			if of.began == nil {
				of.began = map[string]time.Time{}
			}
			began, of.began[reason] = now, now
		}
		waited = now.Sub(began)
	})
	return waited
}

// waited returns the same for a wait that may not have begun.
func (n *notes) waited(r *run.Run, reason string, now time.Time) (waited time.Duration) {
	n.read(r.Reference(), r.UID, func(of *note) {
		if began, ok := of.began[reason]; ok {
			waited = now.Sub(began)
		}
	})
	return waited
}

// isInArchive reports whether a child of a run was found in the archive.
func (n *notes) isInArchive(r *run.Run, child string) (is bool) {
	n.read(r.Reference(), r.UID, func(of *note) { is = of.inArchive[child] })
	return is
}

func (n *notes) noteInArchive(r *run.Run, child string) {
	n.write(r.Reference(), r.UID, func(of *note) {
		if of.inArchive == nil {
			of.inArchive = map[string]bool{}
		}
		of.inArchive[child] = true
	})
}

func (n *notes) isCommitted(ref run.Reference, uid types.UID) (is bool) {
	n.read(ref, uid, func(of *note) { is = of.committed })
	return is
}

func (n *notes) isIndexed(ref run.Reference, uid types.UID) (is bool) {
	n.read(ref, uid, func(of *note) { is = of.indexed })
	return is
}

// forget drops the notes of a run.
func (n *notes) forget(ref run.Reference, uid types.UID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	left := slices.DeleteFunc(n.runs[ref], func(of *note) bool { return of.uid == uid })
	if len(left) == 0 {
		delete(n.runs, ref)
		return
	}
	n.runs[ref] = left
}

// forgetName drops the notes of all runs of a name.
func (n *notes) forgetName(ref run.Reference) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.runs, ref)
}
