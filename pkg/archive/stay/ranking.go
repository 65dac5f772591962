package stay

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Verdict is what is decided about a run.
type Verdict struct {
	// Policy is the one that applies, nil if none does: then the run stays forever.
	Policy *Policy
	// Forever: the run stays until a user deletes it, or its policy changes.
	Forever bool
	// Left is how much longer the run stays at least. Last: it stays longer than that, as one of
	// the last.
	Left time.Duration
	Last bool
}

// Leaves reports whether the run is to be deleted now.
func (v Verdict) Leaves() bool { return v.Policy != nil && !v.Forever && !v.Last && v.Left == 0 }

// Ranking has the last runs of each Pipeline and Task. Its methods may be called concurrently.
type Ranking struct {
	policies Policies
	mu       sync.Mutex
	groups   map[group][]counted
	places   map[types.UID]group
}

// group is what is counted together. Only its last runs are kept: there may be any number.
type group struct {
	policy              *Policy
	kind, namespace, of string
}

func groupOf(p *Policy, r *Run) group { return group{p, r.Kind, r.Namespace, r.Of} }

// counted is a run of a group. Groups are sorted, newest first.
type counted struct {
	created time.Time
	uid     types.UID
	name    string
}

func (a counted) compare(b counted) int {
	return cmp.Or(b.created.Compare(a.created), cmp.Compare(b.uid, a.uid))
}

// NewRanking returns an empty Ranking.
func NewRanking(policies Policies) *Ranking {
	return &Ranking{policies: policies, groups: map[group][]counted{}, places: map[types.UID]group{}}
}

// About is Policies.About.
func (r *Ranking) About(run *Run) *Policy { return r.policies.About(run) }

// Put adds a run to which policy applies (About). It returns the name of the run of the same kind
// and namespace that is no longer among the last because of that, empty if none.
func (r *Ranking) Put(policy *Policy, run *Run) (pushedOut string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(run.UID)
	if policy == nil || policy.Last == 0 {
		return ""
	}
	g := groupOf(policy, run)
	c := counted{run.Created, run.UID, run.Name}
	all := r.groups[g]
	at, _ := slices.BinarySearchFunc(all, c, counted.compare)
	if at >= policy.Last {
		return ""
	}
	all = slices.Insert(all, at, c)
	r.places[run.UID] = g
	if len(all) > policy.Last {
		last := all[policy.Last]
		delete(r.places, last.uid)
		all, pushedOut = all[:policy.Last], last.name
	}
	r.groups[g] = all
	return pushedOut
}

// Reset forgets all runs of a kind, before each that exists is Put. Until then runs stay that a
// policy counts.
func (r *Ranking) Reset(kind string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.groups, func(g group, _ []counted) bool { return g.kind == kind })
	maps.DeleteFunc(r.places, func(_ types.UID, g group) bool { return g.kind == kind })
}

// Remove removes a deleted run.
func (r *Ranking) Remove(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(uid)
}

func (r *Ranking) remove(uid types.UID) {
	g, ok := r.places[uid]
	if !ok {
		return
	}
	delete(r.places, uid)
	rest := slices.DeleteFunc(r.groups[g], func(c counted) bool { return c.uid == uid }) // at most policy.Last items
	if len(rest) == 0 {
		delete(r.groups, g)
		return
	}
	r.groups[g] = rest
}

// Decide returns the verdict about a run to which policy applies (About). It is among the last if
// fewer than policy.Last newer runs were Put: in doubt it stays. Then it is counted, if there is
// room since one of the last was deleted: otherwise no later run would push it out.
func (r *Ranking) Decide(policy *Policy, run *Run, now time.Time) Verdict {
	if policy == nil {
		return Verdict{Forever: true}
	}
	v := Verdict{Policy: policy, Forever: policy.Forever, Left: policy.left(run, now)}
	if policy.Last == 0 {
		return v
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	g, c := groupOf(policy, run), counted{run.Created, run.UID, run.Name}
	all := r.groups[g]
	at, known := slices.BinarySearchFunc(all, c, counted.compare)
	v.Last = at < policy.Last
	if v.Last && !known && len(all) < policy.Last {
		r.groups[g], r.places[run.UID] = slices.Insert(all, at, c), g
	}
	return v
}
