package archiver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

const (
	// childrenAgain is when a run that waits for its children is tried again, if no child's commit
	// triggers it before.
	childrenAgain = 30 * time.Second
	// childReads is how many requests to the API server and the store an attempt makes about children,
	// and moreChildren when the next one makes more: whoever writes a status may name thousands, and a
	// worker must not be theirs for minutes.
	childReads, moreChildren = 100, time.Second
	// defaultChildPatience is long enough for a backlog, which may have children in any order.
	defaultChildPatience = time.Hour
)

// awaitChildren makes a PipelineRun wait until the runs it created are archived or deleted, so that
// whoever finds a PipelineRun in the archive finds all of it. If the PipelineRun is being deleted,
// only finished children count: running ones continue until the garbage collector, which waits for
// the PipelineRun, deletes them, and are archived on their own.
//
// A child that is not archived within ChildPatience is archived on its own as well: for example a
// CustomRun that no controller handles, of a cancelled PipelineRun.
func (a *Archiver) awaitChildren(ctx context.Context, r *run.Run) error {
	if r.Last {
		return nil
	}
	late := a.notes.waited(r, WaitChildren, a.Now()) > a.ChildPatience
	err := (&childCheck{Archiver: a, run: r, reads: childReads}).all(ctx)
	var w *wait
	if !errors.As(err, &w) {
		return err
	}
	if late {
		a.Log.Info("A run is archived before runs it created, which were not archived in time",
			"run", r.Reference().String(), "detail", w.detail)
		return nil
	}
	a.notes.waits(r, WaitChildren, a.Now())
	return err
}

// childCheck is one attempt of awaitChildren. reads is how many requests are left to it.
type childCheck struct {
	*Archiver
	run   *run.Run
	reads int
}

// all looks at the children that the watches know before it reads others. Usually those are gone: a
// watch may be late, too.
func (c *childCheck) all(ctx context.Context) error {
	children := c.run.Children()
	var known observed.Children
	if c.Families.UpToDate() {
		known = c.Families.Children(c.run.Namespace, c.run.UID)
	}
	for _, ref := range children {
		if child, _ := known.Of(ref); child != nil {
			if err := c.tolerate(ref, c.await(ctx, child)); err != nil {
				return err
			}
		}
	}
	for i := c.readBefore(); i < len(children); i++ {
		if _, is := known.Of(children[i]); is {
			continue
		}
		if err := c.tolerate(children[i], c.read(ctx, children[i])); err != nil {
			c.continueWith(i)
			return err
		}
	}
	return nil
}

// readBefore returns how many of the children earlier attempts have found to be archived or gone.
// Neither changes: a PipelineRun that has finished creates none.
func (c *childCheck) readBefore() (n int) {
	c.notes.read(c.run.Reference(), c.run.UID, func(of *note) { n = of.children })
	return n
}

func (c *childCheck) continueWith(i int) {
	if c.run.Finished() {
		c.notes.write(c.run.Reference(), c.run.UID, func(of *note) { of.children = i })
	}
}

// errChildReads ends an attempt that has made its number of requests.
var errChildReads = &wait{reason: WaitChildren, detail: "not all that it created were looked at yet", again: moreChildren}

func (c *childCheck) count() error {
	if c.reads--; c.reads < 0 {
		return errChildReads
	}
	return nil
}

// childFails is the reason of a wait for a child that cannot be read.
const childFails = "children that cannot be read"

// tolerate returns the error about a child, until that has occurred for as long as ChildPatience: a
// damaged commit, for example, stays. It does not count as a wait, so that an outage of the store
// does not use up the time that there is for the children once it is over.
func (c *childCheck) tolerate(child run.Reference, err error) error {
	var w *wait
	if err == nil || errors.As(err, &w) || errors.Is(err, context.Canceled) {
		return err
	}
	if c.notes.waits(c.run, childFails, c.Now()) <= c.ChildPatience {
		return fmt.Errorf("%s: %w", child, err)
	}
	c.Log.Error(err, "A run is archived without knowing whether a run it created is", "run", c.run.Reference().String(),
		"child", child.String())
	return nil
}

// read reads a child from the API server, and awaits it.
func (c *childCheck) read(ctx context.Context, ref run.Reference) error {
	if err := c.count(); err != nil {
		return err
	}
	child, err := c.snapshot(ctx, ref)
	if err != nil || child == nil || !run.IsOwnedBy(child, c.run) || child.Archived() {
		return err
	}
	return c.await(ctx, &observed.Unarchived{
		Reference: ref, Run: layout.Run{Created: child.CreationTimestamp.Time, UID: string(child.UID)},
		Class: child.Labels[run.ClassLabel], Finished: child.Finished(), OptedOut: child.OptedOut(),
	})
}

// await returns a wait if a child has to be archived first.
func (c *childCheck) await(ctx context.Context, child *observed.Unarchived) error {
	switch {
	case child.UID == string(c.run.UID), child.OptedOut, child.Class != c.Class,
		!child.Finished && !c.run.DeletionTimestamp.IsZero(),
		c.notes.isCommitted(child.Reference, types.UID(child.UID)), c.notes.isInArchive(c.run, child.UID):
		return nil
	}
	if err := c.count(); err != nil {
		return err
	}
	commit, err := c.findCommit(ctx, child.Run)
	if err != nil {
		return err
	}
	if commit == nil {
		return &wait{reason: WaitChildren, detail: child.String() + " is not in the archive yet", again: childrenAgain}
	}
	c.notes.noteInArchive(c.run, child.UID)
	return nil
}
