package observed

import (
	"crypto/sha256"
	"hash/maphash"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// Families knows from the watches which runs own which, and which of the owned ones are not
// archived yet. The garbage collector deletes a run with its owner, whatever made it: a PipelineRun
// that a CustomRun's controller made is in no status. Asking the API server for a run's descendants
// means to list its namespace. This takes some hundred bytes for each owned run, archived or not:
// one that is archived may own one that still works.
//
// Only owners among the archived kinds are known. A run that an object of another kind made, which
// belongs to a run, is not found.
type Families struct {
	mu sync.Mutex
	// namespaces keep families apart: an owner reference counts in its own namespace only.
	namespaces map[string]*family
	// watches has a function for each kind that says whether its watch is up to date.
	watches []func() bool
}

// family has the runs of a namespace that others own, and each owner's.
type family struct {
	runs  map[member]owned
	owned map[member][]member
}

// member is the beginning of the SHA-256 of a run's UID, which takes less memory. An owner
// reference may have any text for a UID.
type member [16]byte

func memberOf(uid types.UID) member {
	sum := sha256.Sum256([]byte(uid))
	return member(sum[:16])
}

// owned is what is known of a run that another one owns.
type owned struct {
	owners []member
	name   nameHash
	// waits is nil once the run is archived, or needs not be.
	waits *Unarchived
	kind  uint8
}

// nameHash is a hash of a run's kind, namespace and name.
type nameHash uint64

var nameSeed = maphash.MakeSeed()

func hashOf(ref run.Reference) nameHash { return nameHash(maphash.Comparable(nameSeed, ref)) }

// Unarchived is a run in the cluster that is not known to be archived.
type Unarchived struct {
	run.Reference
	layout.Run
	Class                         string
	Finished, Protected, OptedOut bool
}

// NewFamilies returns a Families that knows nothing.
func NewFamilies() *Families { return &Families{namespaces: map[string]*family{}} }

// Watch adds a kind's watch: upToDate says whether all that has happened to its runs is known, or
// on its way. It must be called before the watches start.
func (f *Families) Watch(upToDate func() bool) { f.watches = append(f.watches, upToDate) }

// UpToDate reports whether all runs of all kinds are known. In between a watch may have missed one.
func (f *Families) UpToDate() bool {
	return len(f.watches) == len(run.Resources) &&
		!slices.ContainsFunc(f.watches, func(is func() bool) bool { return !is() })
}

// Replace replaces all runs of a kind: whatever the watch missed is made up for.
func (f *Families) Replace(kind string, all []*Run) {
	of := uint8(slices.Index(run.Kinds, kind)) //nolint:gosec // one of three
	f.mu.Lock()
	defer f.mu.Unlock()
	there := make(map[member]bool, len(all))
	for _, s := range all {
		there[memberOf(s.UID)] = true
	}
	for namespace, in := range f.namespaces {
		for m, o := range in.runs {
			if o.kind == of && !there[m] {
				f.remove(namespace, m)
			}
		}
	}
	for _, s := range all {
		f.put(s)
	}
}

// Put adds a run, or what has changed of it.
func (f *Families) Put(s *Run) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.put(s)
}

// put is called with mu held.
func (f *Families) put(s *Run) {
	m := memberOf(s.UID)
	if len(s.owners) == 0 {
		f.remove(s.Namespace, m) // it may have had owners
		return
	}
	in := f.namespaces[s.Namespace]
	if in == nil {
		in = &family{runs: map[member]owned{}, owned: map[member][]member{}}
		f.namespaces[s.Namespace] = in
	}
	if before, ok := in.runs[m]; ok && !slices.Equal(before.owners, s.owners) {
		in.leave(m, before.owners)
		in.join(m, s.owners)
	} else if !ok {
		in.join(m, s.owners)
	}
	in.runs[m] = owned{
		owners: s.owners, name: hashOf(s.Reference()), waits: s.unarchived(),
		kind: uint8(slices.Index(run.Kinds, s.Kind)), //nolint:gosec // one of three
	}
}

// unarchived returns nil if the run is archived, or is opted out and has ended.
func (s *Run) unarchived() *Unarchived {
	if s.Archived || s.OptedOut && s.Finished {
		return nil
	}
	return &Unarchived{Reference: s.Reference(), Run: layout.Run{Created: s.created, UID: string(s.UID)},
		Class: s.Class, Finished: s.Finished, Protected: s.Protected, OptedOut: s.OptedOut}
}

func (in *family) join(m member, owners []member) {
	for _, owner := range owners {
		if !slices.Contains(in.owned[owner], m) { // an owner may be named twice
			in.owned[owner] = append(in.owned[owner], m)
		}
	}
}

func (in *family) leave(m member, owners []member) {
	for _, owner := range owners {
		left := slices.DeleteFunc(in.owned[owner], func(other member) bool { return other == m })
		if in.owned[owner] = left; len(left) == 0 {
			delete(in.owned, owner)
		}
	}
}

// Remove removes a deleted run.
func (f *Families) Remove(s *Run) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remove(s.Namespace, memberOf(s.UID))
}

// remove is called with mu held. What the run owns stays: the garbage collector deletes it later.
func (f *Families) remove(namespace string, m member) {
	in := f.namespaces[namespace]
	if in == nil {
		return
	}
	o, ok := in.runs[m]
	if !ok {
		return
	}
	delete(in.runs, m)
	in.leave(m, o.owners)
	if len(in.runs) == 0 {
		delete(f.namespaces, namespace)
	}
}

// NoteArchived records that a run is archived though it is not marked: there was no room.
func (f *Families) NoteArchived(u *Unarchived) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in, m := f.namespaces[u.Namespace], memberOf(types.UID(u.UID))
	if in == nil {
		return
	}
	if o, ok := in.runs[m]; ok {
		o.waits = nil
		in.runs[m] = o
	}
}

// Below returns at most limit of the runs that a run owns, directly or through others, and that are
// not archived. Owner references may form a cycle.
func (f *Families) Below(namespace string, uid types.UID, limit int) (found []*Unarchived) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := f.namespaces[namespace]
	if in == nil {
		return nil
	}
	root := memberOf(uid)
	seen := map[member]bool{root: true}
	for next := []member{root}; len(next) > 0; {
		of := next[len(next)-1]
		next = next[:len(next)-1]
		for _, m := range in.owned[of] {
			if seen[m] {
				continue
			}
			seen[m] = true
			next = append(next, m)
			if waits := in.runs[m].waits; waits != nil {
				if found = append(found, waits); len(found) == limit {
					return found
				}
			}
		}
	}
	return found
}

// Children are the runs that another one owns directly, those that are archived as nil.
type Children map[nameHash]*Unarchived

// Of returns what is known about a run: whether it is one of the children, and if so, whether it is
// not archived.
func (c Children) Of(ref run.Reference) (child *Unarchived, known bool) {
	child, known = c[hashOf(ref)]
	return child, known
}

// Children returns the runs that a run owns directly.
func (f *Families) Children(namespace string, uid types.UID) Children {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := f.namespaces[namespace]
	if in == nil {
		return nil
	}
	all := in.owned[memberOf(uid)]
	children := make(Children, len(all))
	for _, m := range all {
		o := in.runs[m]
		children[o.name] = o.waits
	}
	return children
}
