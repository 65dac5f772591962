package retention

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/indelible-ci/indelible/pkg/archive/catalogue"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

const (
	// workers is the number of trees that are deleted concurrently, batch the number of trees after
	// which they are removed from segments and the index.
	workers = 16
	batch   = 256
	// orphanAfter is how much longer a run is kept whose PipelineRun is not in the archive: that
	// may still be running, or is not archived.
	orphanAfter = 7 * 24 * time.Hour
	// pipelineRun is the kind of runs that create others.
	pipelineRun = "PipelineRun"
)

// maxMembers bounds the runs of a tree that can be deleted, and of the trees of a batch: all are in
// memory, and marked one by one. Tests change it.
var maxMembers = 10_000

// tree is a run tree: a root, which is the first member, and all runs that it created, directly or
// indirectly. Policies decide by the root's age, outcome and labels.
type tree struct {
	members []*member
	// large: it has more members than maxMembers, which are left out.
	large bool
	// names are what members call each other in childReferences, set when first needed.
	names map[childReference]bool
}

// member is a run of a tree, and what was done with it.
type member struct {
	row     *manifest.Commit
	id      layout.Run
	outcome Outcome
	bytes   int64
	// hold is the value of the hold annotation by the index: a tree with one is kept without reading
	// it from the archive, each hour.
	hold string
	// The following fields are read from the archive. parts are the keys of the run's parts.
	key    string
	parts  []string
	parent string
	// children are what the run says it created.
	children []childReference
	// gone: it was deleted, or had no commit.
	gone bool
}

// newMember returns the member of a row with its record.
func newMember(row index.Row) *member {
	m := &member{row: row.Commit, id: row.Commit.ID()}
	if metadata, err := metadataOf(row.Record); err == nil { // else the archive shows what is wrong
		m.hold = metadata.Annotations[HoldAnnotation]
	}
	return m
}

// newTree finds the members of a tree in the index, and stops at maxMembers.
func (a *application) newTree(ctx context.Context, root index.Row) (*tree, error) {
	if root.Record == nil {
		with, err := a.Index.Get(ctx, string(a.Cluster), root.Commit.Run.UID)
		if err != nil && !errors.Is(err, index.ErrNotFound) {
			return nil, err
		}
		root.Record = with.Record
	}
	t := &tree{members: []*member{newMember(root)}}
	seen := map[string]bool{root.Commit.Run.UID: true}
	for i := 0; i < len(t.members); i++ {
		parent := &t.members[i].row.Run
		if parent.Kind != pipelineRun {
			continue
		}
		for row, err := range a.Index.Find(ctx,
			index.Query{Cluster: string(a.Cluster), Namespace: parent.Namespace, Parent: parent.UID, Records: true}) {
			if err != nil {
				return nil, err
			}
			if seen[row.Commit.Run.UID] {
				continue
			}
			if len(t.members) == maxMembers {
				return &tree{members: []*member{t.members[0]}, large: true}, nil
			}
			seen[row.Commit.Run.UID] = true
			t.members = append(t.members, newMember(row))
		}
	}
	return t, nil
}

// batch deletes trees, and then removes them from segments and the index. The index is last: the
// next Apply finds the runs in it.
func (a *application) batch(ctx context.Context, trees []*tree) error {
	group, groupContext := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, t := range trees {
		if groupContext.Err() != nil {
			break
		}
		group.Go(func() error {
			if err := a.tree(groupContext, t); err != nil {
				return a.failures.add(groupContext, err)
			}
			return nil
		})
	}
	err := group.Wait()
	var runs []layout.Run
	var uids []string
	for _, t := range trees {
		for _, m := range t.members {
			a.count(m)
			if m.gone {
				runs, uids = append(runs, m.id), append(uids, m.id.UID)
			}
		}
	}
	if len(uids) == 0 {
		return err
	}
	if forgetErr := catalogue.Forget(ctx, a.Store, a.Cluster, runs...); forgetErr != nil {
		return errors.Join(err, forgetErr)
	}
	return errors.Join(err, a.Index.Delete(ctx, string(a.Cluster), uids...))
}

func (a *application) count(m *member) {
	switch m.outcome.Action {
	case Deleted:
		a.totals.Deleted++
		a.totals.Bytes += m.bytes
	case Kept:
		a.totals.Kept++
	case Damaged:
		a.totals.Damaged++
	case Cleared:
		a.totals.Cleared++
	default: // not reached
		return
	}
	m.outcome.Run = m.row.Run
	if a.Report != nil {
		a.Report(m.outcome)
	}
}

// tree reads the runs of a tree, decides again, and deletes the tree if a policy matches.
func (a *application) tree(ctx context.Context, t *tree) error {
	if t.large {
		t.keep(fmt.Sprintf("it has more than %d runs, which is too many to delete together", maxMembers))
		return nil
	}
	for _, m := range t.members {
		if why := a.holds(m); why != "" {
			t.keep(why)
			return nil
		}
	}
	var root subject
	var members []*member // with a commit
	var kept string
	for i, m := range t.members {
		s, err := a.read(ctx, m)
		if err != nil {
			return err
		}
		if m.outcome.Action == Cleared {
			if err := a.clear(ctx, m); err != nil {
				return err
			}
		} else if why := a.keeps(t, m, s); why != "" {
			kept = why
		}
		if m.outcome.Action == "" {
			members = append(members, m)
		}
		if i == 0 {
			root = s
		}
	}
	if len(members) == 0 {
		return nil
	}
	policy, why := a.decideTree(t, root)
	kept, err := cmp.Or(kept, why), error(nil)
	if kept == "" {
		kept, err = a.lacking(ctx, t, members)
	}
	switch {
	case err != nil:
		return err
	case kept != "":
	case a.DryRun:
		kept, err = a.heldMember(ctx, members)
	default:
		kept, err = a.delete(ctx, policy, root, members)
	}
	for _, m := range members {
		switch {
		case kept != "":
			m.outcome = Outcome{Action: Kept, Reason: kept}
		case m.gone || err == nil && a.DryRun:
			m.outcome = Outcome{Action: Deleted, Policy: policy.Name}
		}
	}
	return err
}

// holds returns why a run keeps its tree, as far as is known without reading it from the archive.
func (a *application) holds(m *member) string {
	switch {
	case a.held[m.id.UID]:
		return "held (archiver get shows the hold)"
	case m.hold != "":
		return heldBy(m, m.hold)
	}
	return ""
}

// keeps returns why a run keeps its tree, "" if it does not.
func (a *application) keeps(t *tree, m *member, s subject) string {
	run := &m.row.Run
	switch {
	case m.outcome.Action == Damaged:
		return fmt.Sprintf("%s %s is damaged", run.Kind, run.Name)
	case s.metadata.Annotations[HoldAnnotation] != "":
		return heldBy(m, s.metadata.Annotations[HoldAnnotation])
	case m != t.members[0] && !t.has(m.parent):
		return fmt.Sprintf("%s %s is not in this tree, contrary to the index", run.Kind, run.Name)
	case s.commit.CommittedAt.After(a.Now):
		return fmt.Sprintf("%s %s was archived in the future: check clocks", run.Kind, run.Name)
	}
	return ""
}

// clear deletes the parts of a run without a commit, left by an interrupted deletion. It leaves
// parts younger than MinGrace: an archiver may be archiving the run again.
func (a *application) clear(ctx context.Context, m *member) error {
	if a.DryRun {
		return nil
	}
	prefix, err := a.Cluster.PartsOf(m.id)
	if err != nil {
		return err
	}
	for info, err := range a.Store.List(ctx, prefix, "") {
		if err == nil && a.Now.Sub(info.Modified) >= MinGrace {
			err = a.Store.Delete(ctx, info.Key)
		}
		if err != nil {
			return err
		}
	}
	m.gone = true
	return nil
}

// keep sets the outcome of all members.
func (t *tree) keep(reason string) {
	for _, m := range t.members {
		m.outcome = Outcome{Action: Kept, Reason: reason}
	}
}

func (t *tree) has(uid string) bool {
	for _, m := range t.members {
		if m.id.UID == uid {
			return true
		}
	}
	return false
}

// decideTree returns the policy that matches a tree, or why it is kept.
func (a *application) decideTree(t *tree, root subject) (policy *Policy, kept string) {
	if root.commit == nil {
		// The root was deleted or is damaged. Its runs become roots when its row is deleted.
		return nil, "its root was deleted or is damaged"
	}
	if t.members[0].parent != "" {
		root.extra = orphanAfter
	}
	policy = decide(a.Now, a.Policies, root)
	switch {
	case policy == nil && root.extra > 0:
		return nil, "the PipelineRun that made it is not in the archive: it is kept a week longer"
	case policy == nil:
		return nil, "the archive does not confirm what the index says"
	}
	return policy, ""
}

// read reads a run of a tree from the archive, and sets m.outcome if it is damaged or has no
// commit. A run with a commit and without a record is damaged.
func (a *application) read(ctx context.Context, m *member) (subject, error) {
	var err error
	if m.key, err = a.Cluster.Commit(m.id); err != nil {
		return subject{}, err
	}
	e, err := catalogue.Load(ctx, a.Store, m.key)
	if err != nil {
		return subject{}, a.unreadable(ctx, m, err)
	}
	s, err := a.subject(e.Commit, e.Record)
	if err == nil {
		m.children = s.metadata.children
		m.parent, err = index.ParentOf(e.Record)
	}
	if err != nil {
		m.outcome = Outcome{Action: Damaged, Reason: err.Error()}
		return subject{}, nil
	}
	for i := range e.Commit.Parts {
		if part := &e.Commit.Parts[i]; ownPart(e.Commit, part.Key) {
			m.parts = append(m.parts, part.Key)
		}
		if stored := e.Commit.Parts[i].Stored; stored != nil {
			m.bytes += stored.Bytes
		}
	}
	s.commit = e.Commit.Bare() // without embedded content, which would be much for a tree of many runs
	return s, nil
}

// ownPart reports whether a key is that of a part of the run. Later versions may also name objects
// that runs share.
func ownPart(c *manifest.Commit, key string) bool {
	cluster, uid, _, _, err := layout.ParsePart(key)
	return err == nil && string(cluster) == c.Cluster && uid == c.Run.UID
}

// unreadable handles an error of Load.
func (a *application) unreadable(ctx context.Context, m *member, err error) error {
	if !catalogue.Unreadable(err) {
		return err
	}
	m.outcome = Outcome{Action: Damaged, Reason: err.Error()}
	if !errors.Is(err, store.ErrNotExist) {
		return nil
	}
	switch _, err := a.Store.Stat(ctx, m.key); {
	case errors.Is(err, store.ErrNotExist):
		m.outcome = Outcome{Action: Cleared, Reason: "it has no commit"}
	case err != nil:
		return err
	}
	return nil
}
