package retention

import (
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
	// workers is how many trees are deleted at a time, batch after how many the index and the segments follow.
	workers = 16
	batch   = 256
	// orphanAfter is how much longer a run is kept whose PipelineRun is not in the archive: that may work still, or nobody archives it.
	orphanAfter = 7 * 24 * time.Hour
)

// tree is a run that no PipelineRun made, and all that it made, directly or by others: what belongs together, and goes together. Policies
// decide about the root, its age, outcome and labels. The root is the first of its members.
type tree struct {
	members []*member
}

// member is a run of a tree, and what became of it.
type member struct {
	row     *manifest.Commit
	id      layout.Run
	outcome Outcome
	bytes   int64
	// What follows is as the archive has it. parts are the keys of its objects beside the commit.
	key    string
	parts  []string
	parent string
	// gone says that it was deleted, or was not there.
	gone bool
}

// newTree finds the members of a tree by the index.
func (a *application) newTree(ctx context.Context, root *manifest.Commit) (*tree, error) {
	t := &tree{members: []*member{{row: root, id: root.ID()}}}
	there := map[string]bool{root.Run.UID: true}
	for i := 0; i < len(t.members); i++ {
		parent := &t.members[i].row.Run
		if parent.Kind != "PipelineRun" {
			continue
		}
		for row, err := range a.Index.Find(ctx, index.Query{Cluster: string(a.Cluster), Namespace: root.Run.Namespace, Parent: parent.UID}) {
			if err != nil {
				return nil, err
			}
			if !there[row.Commit.Run.UID] {
				there[row.Commit.Run.UID] = true
				t.members = append(t.members, &member{row: row.Commit, id: row.Commit.ID()})
			}
		}
	}
	return t, nil
}

// batch deletes some trees, and then what other places have of them. Rows go last: they are what a next Apply knows the runs by.
func (a *application) batch(ctx context.Context, trees []*tree) error {
	group, groupContext := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, t := range trees {
		group.Go(func() error { return a.tree(groupContext, t) })
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
	if forget := catalogue.Forget(ctx, a.Store, a.Cluster, runs...); forget != nil {
		return errors.Join(err, forget)
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
	default: // it was not come to
		return
	}
	m.outcome.Run = m.row.Run
	if a.Report != nil {
		a.Report(m.outcome)
	}
}

// tree reads the runs of a tree and decides again.
func (a *application) tree(ctx context.Context, t *tree) error {
	var root subject
	var members []*member // those that have a commit
	var stays string
	for i, m := range t.members {
		if a.held[m.id.UID] {
			t.keep("held: archiver get says by whom")
			return nil
		}
		s, err := a.read(ctx, m)
		if err != nil {
			return err
		}
		switch {
		case m.outcome.Action == Damaged:
			stays = fmt.Sprintf("%s %s is damaged", m.row.Run.Kind, m.row.Run.Name)
		case m.outcome.Action == Cleared:
			if err := a.clear(ctx, m); err != nil {
				return err
			}
		case s.metadata.Annotations[HoldAnnotation] != "":
			stays = heldBy(m, s.metadata.Annotations[HoldAnnotation])
		case i > 0 && !t.has(m.parent):
			stays = fmt.Sprintf("%s %s is not what the index says", m.row.Run.Kind, m.row.Run.Name)
		case s.commit.CommittedAt.After(a.Now):
			stays = fmt.Sprintf("%s %s was archived later than now", m.row.Run.Kind, m.row.Run.Name)
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
	if stays == "" {
		stays = why
	}
	var err error
	switch {
	case stays != "":
	case a.DryRun:
		stays, err = a.heldMember(ctx, members)
	default:
		stays, err = a.delete(ctx, policy, root, members)
	}
	for _, m := range members {
		switch {
		case stays != "":
			m.outcome = Outcome{Action: Kept, Reason: stays}
		case m.gone || err == nil && a.DryRun:
			m.outcome = Outcome{Action: Deleted, Policy: policy.Name}
		}
	}
	return err
}

// clear deletes what is left of a run whose commit is gone: of a deletion that broke off. What is young may be an archiver's, who has it again.
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

// keep says of all members that they stay.
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

// decideTree names the policy by which a tree may go, or says why it stays.
func (a *application) decideTree(t *tree, root subject) (policy *Policy, stays string) {
	if root.commit == nil {
		// It was deleted, or is damaged. What it made has no root any more when its row is gone.
		return nil, "its root is not there any more"
	}
	if t.members[0].parent != "" {
		root.extra = orphanAfter
	}
	policy = decide(a.Now, a.Policies, root)
	switch {
	case policy == nil && root.extra > 0:
		return nil, "the PipelineRun that made it is not in the archive: it is kept a week longer"
	case policy == nil:
		return nil, "the archive does not say what the index does"
	}
	return policy, ""
}

// read reads a run of a tree as the archive has it. Only one without a commit is cleared: one without a record is damaged.
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
	s.commit = e.Commit.Bare() // not what is inline: of a tree with many runs that would be much
	return s, nil
}

// ownPart says whether a key is that of a part of the run. What later programs name besides may be others' as well.
func ownPart(c *manifest.Commit, key string) bool {
	cluster, uid, _, _, err := layout.ParsePart(key)
	return err == nil && string(cluster) == c.Cluster && uid == c.Run.UID
}

// unreadable deals with a run that Load could not read.
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
		m.outcome = Outcome{Action: Cleared, Reason: "it has no commit anymore"}
	case err != nil:
		return err
	}
	return nil
}
