package retention

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// deletion deletes the runs of a tree.
//
// Who holds a run writes the hold, and then looks for marks; who deletes it writes marks, and then looks for holds. So one of the two sees
// the other, whatever comes first, and in doubt both give way: a hold that was placed without an error is never overrun. Nothing
// has to be brought back, and whoever is killed leaves marks, which Apply takes away after abandoned.
type deletion struct {
	*application
	members []*member
	writer  string
	marks   []string
}

const (
	// abandoned is how old a mark is whose writer is not there any more.
	abandoned = 24 * time.Hour
	// maxDeletion is how long its marks are good for: far less than that.
	maxDeletion = time.Hour
)

// errTooSlow leaves what is left of a tree to the next Apply.
var errTooSlow = errors.New("the store is too slow: what is left is deleted the next time")

// delete deletes a tree, or says why it stays.
func (a *application) delete(ctx context.Context, policy *Policy, root subject, members []*member) (stays string, err error) {
	d := &deletion{application: a, members: members, writer: strings.ToLower(rand.Text())}
	// Marks are taken away, and a tree that was begun is deleted to its end, also where ctx ends meanwhile.
	ctx = context.WithoutCancel(ctx)
	defer func() { err = errors.Join(err, d.unmark(ctx)) }()
	began := time.Now()
	at, err := d.mark(ctx)
	if err != nil {
		return "", err
	}
	if held, err := a.heldMember(ctx, members); err != nil || held != "" {
		return held, err
	}
	if at.Before(a.Now) && !policy.matches(at, root) {
		return fmt.Sprintf("by the store's clock, which says %s, it is too young", at.UTC().Format(time.RFC3339)), nil
	}
	// What a run made goes before it: as long as any of a tree is there, so is its root, by which the rest is found.
	for i := len(members) - 1; i >= 0; i-- {
		if time.Since(began) > maxDeletion {
			return "", errTooSlow
		}
		if err := members[i].delete(ctx, a.Store); err != nil {
			return "", err
		}
		members[i].gone = true
	}
	return "", nil
}

// mark says of all runs that they are being deleted. It returns the store's time.
func (d *deletion) mark(ctx context.Context) (time.Time, error) {
	for _, m := range d.members {
		key, err := d.Cluster.Deletion(m.id, d.writer)
		if err != nil {
			return time.Time{}, err
		}
		d.marks = append(d.marks, key) // it may be there also if what follows fails
		if err := d.Store.Create(ctx, key, strings.NewReader("")); err != nil {
			return time.Time{}, fmt.Errorf("mark run %s as being deleted: %w", m.id.UID, err)
		}
	}
	info, err := d.Store.Stat(ctx, d.marks[0])
	return info.Modified, err
}

func (d *deletion) unmark(ctx context.Context) (err error) {
	for _, key := range d.marks {
		err = errors.Join(err, d.Store.Delete(ctx, key))
	}
	return err
}

// delete deletes the commit first: parts that no commit names are deleted by Sweep.
func (m *member) delete(ctx context.Context, from store.Store) error {
	for _, key := range append([]string{m.key}, m.parts...) {
		if err := from.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// heldMember says which hold keeps a tree, empty if none does.
func (a *application) heldMember(ctx context.Context, members []*member) (string, error) {
	for _, m := range members {
		text, err := Held(ctx, a.Store, a.Cluster, m.id)
		if err != nil {
			return "", err
		}
		if text != nil {
			return heldBy(m, text.Reason), nil
		}
	}
	return "", nil
}

func heldBy(m *member, reason string) string {
	return fmt.Sprintf("%s %s is held: %s", m.row.Run.Kind, m.row.Run.Name, reason)
}

// clearMarks takes away those of who was killed.
func (a *application) clearMarks(ctx context.Context) error {
	for info, err := range a.Store.List(ctx, a.Cluster.Deletions(), "") {
		if err == nil && a.Now.Sub(info.Modified) > abandoned {
			err = a.Store.Delete(ctx, info.Key)
		}
		if err != nil {
			return fmt.Errorf("take away marks of deletions that broke off: %w", err)
		}
	}
	return nil
}
