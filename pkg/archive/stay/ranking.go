package stay

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Verdict is what becomes of a run.
type Verdict struct {
	// Policy is the one that counts, nil if none does: then the run stays for ever.
	Policy *Policy
	// Forever says that the run stays until somebody deletes it, or what is asked about it changes.
	Forever bool
	// Left is how long it stays at least. Last says that it stays for longer, as one of the last.
	Left time.Duration
	Last bool
}

// Leaves says whether it is time.
func (v Verdict) Leaves() bool { return v.Policy != nil && !v.Forever && !v.Last && v.Left == 0 }

// Ranking knows the runs that are counted. Methods may be called concurrently.
type Ranking struct {
	policies Policies
	mu       sync.Mutex
	groups   map[group][]counted
	places   map[types.UID]group
}

// group is what is counted together. Only the last are kept of it: a group may have any number of
// runs.
type group struct {
	policy              *Policy
	kind, namespace, of string
}

func groupOf(p *Policy, r *Run) group { return group{p, r.Kind, r.Namespace, r.Of} }

// counted is one of a group, which has the newest first.
type counted struct {
	created time.Time
	uid     types.UID
	name    string
}

func (a counted) compare(b counted) int {
	return cmp.Or(b.created.Compare(a.created), cmp.Compare(b.uid, a.uid))
}

// NewRanking knows no run yet.
func NewRanking(policies Policies) *Ranking {
	return &Ranking{policies: policies, groups: map[group][]counted{}, places: map[types.UID]group{}}
}

// About is Policies.About.
func (r *Ranking) About(run *Run) *Policy { return r.policies.About(run) }

// Put counts a run, of which policy is the one about it (About). It returns the name of a run of
// the same kind and namespace that is not among the last any more because of that, empty if there
// is none.
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

// Remove forgets a run that is gone.
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
	rest := slices.DeleteFunc(r.groups[g], func(c counted) bool { return c.uid == uid }) // at most as many as stay
	if len(rest) == 0 {
		delete(r.groups, g)
		return
	}
	r.groups[g] = rest
}

// Decide says what becomes of a run, of which policy is the one about it (About). One that is to be
// counted is among the last as long as fewer newer ones were Put: in doubt it stays.
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
	all := r.groups[groupOf(policy, run)]
	at, _ := slices.BinarySearchFunc(all, counted{run.Created, run.UID, run.Name}, counted.compare)
	v.Last = at < policy.Last
	return v
}
