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

// deletion deletes the runs of one tree.
//
// Hold writes the hold and then looks for marks of a deletion; deletion writes marks and then looks
// for holds. Whichever is first, at least one sees the other; if both do, both give up. So a run
// whose Hold returned without an error is never deleted, and nothing has to be undone. If the
// process is killed it leaves marks, which Apply deletes after abandoned.
type deletion struct {
	*application
	members []*member
	writer  string
	marks   []string
}

const (
	// abandoned is the age at which a mark's writer is assumed dead.
	abandoned = 24 * time.Hour
	// maxDeletion is how long a deletion relies on its marks; much less than abandoned.
	maxDeletion = time.Hour
)

// errTooSlow leaves the rest of the tree to the next Apply.
var errTooSlow = errors.New("the store is too slow: the next run of retention deletes the rest")

// delete deletes a tree, or returns why it is kept.
func (a *application) delete(
	ctx context.Context, policy *Policy, root subject, members []*member,
) (kept string, err error) {
	d := &deletion{application: a, members: members, writer: strings.ToLower(rand.Text())}
	// Once begun, a deletion is completed and its marks are removed, even if ctx ends.
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
		return fmt.Sprintf("too young by the store's clock, which says %s", at.UTC().Format(time.RFC3339)), nil
	}
	// Children before parents: as long as any run of the tree exists, so does the root, through
	// which the next Apply finds the rest.
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

// mark marks all runs as being deleted. It returns the store's time.
func (d *deletion) mark(ctx context.Context) (time.Time, error) {
	for _, m := range d.members {
		key, err := d.Cluster.Deletion(m.id, d.writer)
		if err != nil {
			return time.Time{}, err
		}
		d.marks = append(d.marks, key) // before Create, which may store it and fail
		if err := createMark(ctx, d.Store, key); err != nil {
			return time.Time{}, fmt.Errorf("mark run %s as being deleted: %w", m.id.UID, err)
		}
	}
	info, err := d.Store.Stat(ctx, d.marks[0])
	return info.Modified, err
}

// createMark stores a mark. Its key is random, so what exists there is this writer's: the store was
// asked again.
func createMark(ctx context.Context, s store.Store, key string) error {
	if err := s.Create(ctx, key, strings.NewReader("")); !errors.Is(err, store.ErrExists) {
		return err
	}
	return nil
}

func (d *deletion) unmark(ctx context.Context) (err error) {
	for _, key := range d.marks {
		err = errors.Join(err, d.Store.Delete(ctx, key))
	}
	return err
}

// delete deletes the commit first. If it is interrupted, Sweep deletes the parts, which no commit
// names.
func (m *member) delete(ctx context.Context, from store.Store) error {
	for _, key := range append([]string{m.key}, m.parts...) {
		if err := from.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// heldMember returns which hold keeps the tree, "" if none.
func (a *application) heldMember(ctx context.Context, members []*member) (string, error) {
	for _, m := range members {
		hold, err := Held(ctx, a.Store, a.Cluster, m.id)
		if err != nil {
			return "", err
		}
		if hold != nil {
			return heldBy(m, hold.Reason), nil
		}
	}
	return "", nil
}

func heldBy(m *member, reason string) string {
	return fmt.Sprintf("%s %s is held: %s", m.row.Run.Kind, m.row.Run.Name, reason)
}

// clearMarks deletes the marks of killed processes.
func (a *application) clearMarks(ctx context.Context) error {
	for info, err := range a.Store.List(ctx, a.Cluster.Deletions(), "") {
		if err == nil && a.Now.Sub(info.Modified) > abandoned {
			err = a.Store.Delete(ctx, info.Key)
		}
		if err != nil {
			return fmt.Errorf("delete marks of interrupted deletions: %w", err)
		}
	}
	return nil
}
