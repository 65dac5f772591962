// Package fsck compares an archive with what it says of itself: every commit is read, every part it names is read back and
// compared, and what no commit names is found. So is what tools wrote. Holds, segments, the index and the cluster's own marks are compared with the commits, too. It
// only reads.
//
// It is a library, the command's, and the oracle of the archiver's tests.
package fsck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Kind says what is wrong with an object.
type Kind string

// Kinds of findings. Which are damage is said by Damage.
const (
	// DamagedCommit: the object at a commit's key is not that commit.
	DamagedCommit Kind = "damaged commit"
	// UnknownVersion: a commit of a later version of the format; its parts were not looked at.
	UnknownVersion Kind = "commit of an unknown version"
	// MissingPart: a commit names an object that is not there.
	MissingPart Kind = "missing part"
	// DamagedPart: the object is not what the commit says.
	DamagedPart Kind = "damaged part"
	// NotArchived: the run says in the cluster that it is in the archive, and has no commit.
	NotArchived Kind = "marked as archived, but not in the archive"
	// HeldNotArchived: a hold is on a run that has no commit.
	HeldNotArchived Kind = "held, but not in the archive"

	// Abandoned: no commit names the part, and it is older than any attempt to archive a run takes. It is what an
	// archiver leaves that was killed. It may be deleted.
	Abandoned Kind = "abandoned part"
	// Carried: what a later program has written, and this one keeps and does not understand: a part of a type or state that it does not
	// know, or fields.
	Carried Kind = "unknown, carried"
	// Leftover: a generation that means nothing any more, under a Result that is deleted, or a content that no Log names, and older
	// than any writer takes. It may be deleted.
	Leftover Kind = "abandoned object"
	// DamagedObject: the newest generation of what a tool wrote is not what its key says.
	DamagedObject Kind = "damaged object"
	// UnknownObject: it is of a later version of the format.
	UnknownObject Kind = "object of an unknown version"
	// MissingContent, DamagedContent: a Log names a content that is not there, or not what it was.
	MissingContent Kind = "missing content of a log"
	DamagedContent Kind = "damaged content of a log"
	// ResultHeldNotThere: a hold is on a Result that no tool wrote, or that is deleted.
	ResultHeldNotThere Kind = "held, but there is no such Result"
	// Stranger: an object that is not the archive's.
	Stranger Kind = "object with a key that is not the archive's"

	// DamagedSegment: it is passed over by who rebuilds an index, and may be deleted.
	DamagedSegment Kind = "damaged segment"
	// StaleSegment: it has a run that has no commit, or another one. It is to be deleted: there is data of a deleted run in it.
	StaleSegment Kind = "segment with a run that is not in the archive"
	// RowMissing, RowSurplus, RowDiffers: the index does not say what the commits say. A rebuild makes it good.
	RowMissing Kind = "commit or object without a row in the index"
	RowSurplus Kind = "row of the index without a commit or object"
	RowDiffers Kind = "row of the index that is not what its commit says"
)

// Finding is one object with which something is wrong.
type Finding struct {
	Kind Kind
	Key  string
	// Run is the run that is affected, where it is known: its namespace and name. Of an object it is that one's name.
	Run string
	// Detail says what was found, for people.
	Detail string
}

// Damage says whether a run, or what a tool wrote, can no longer be read in full.
func (f Finding) Damage() bool {
	switch f.Kind {
	case DamagedCommit, UnknownVersion, MissingPart, DamagedPart, NotArchived, HeldNotArchived,
		DamagedObject, UnknownObject, MissingContent, DamagedContent, ResultHeldNotThere:
		return true
	}
	return false
}

// Cache says whether it is the index or a segment that is wrong: what is made from the commits, and can be made again.
func (f Finding) Cache() bool {
	switch f.Kind {
	case DamagedSegment, StaleSegment, RowMissing, RowSurplus, RowDiffers:
		return true
	}
	return false
}

func (f Finding) String() string {
	text := fmt.Sprintf("%s: %s", f.Kind, f.Key)
	if f.Run != "" {
		text += " of " + f.Run
	}
	if f.Detail != "" {
		text += ": " + f.Detail
	}
	return text
}

// Options say how to check.
type Options struct {
	Store   store.Store
	Cluster layout.Cluster
	// Grace is how old a part must be that no commit names: younger ones may be of an archiver at work.
	Grace time.Duration
	// Now is the time by the store's clock, as near as it is known.
	Now time.Time
	// Index is compared with the commits if it is given.
	Index index.Index
	// Marked yields the runs of the cluster that say they are in the archive, if it is given. One that retention has deleted from
	// the archive while it is still in the cluster is found, too: nothing says then where its record is.
	Marked iter.Seq2[Marked, error]
	// Found is called for each finding: commits with their parts first, then parts, holds, segments, objects, rows and marks, each in the order of
	// keys.
	Found func(Finding)
}

// Totals count what was looked at.
type Totals struct {
	Commits, Parts int
	// Bytes are those of commits and parts as stored.
	Bytes int64
	// Objects are what tools wrote, the newest generations that are not deleted, and Contents those of large Logs.
	Objects, Contents int
	// Holds, Segments, Rows and Marked count what else there is.
	Holds, Segments, Rows, Marked int
	// Damaged counts findings that are damage, Cache those of index and segments, Carried what later programs wrote, Abandoned and Strangers
	// the others.
	Damaged, Cache, Carried, Abandoned, Strangers int
}

// Marked is a run of the cluster that says it is in the archive.
type Marked struct {
	Namespace, Name string
	Run             layout.Run
}

// Check looks at a whole cluster's archive. The error says that it could not be looked at to the end; what is wrong with the archive
// is no error but findings. Reads that fail are tried again before an object counts as damaged.
func Check(ctx context.Context, o Options) (Totals, error) {
	c := &check{Options: o, named: map[string]bool{}, sums: map[string]sum{}, live: map[string]object.Name{}}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"commits", c.commits}, {"parts", c.parts}, {"holds", c.holds}, {"segments", c.segments}, {"objects", c.objects}, {"index", c.rows}, {"index of objects", c.objectRows}, {"marks", c.marks},
	} {
		if err := step.do(ctx); err != nil {
			return c.totals, fmt.Errorf("check %s: %w", step.what, err)
		}
	}
	return c.totals, nil
}

// check is one run of Check. named holds the keys that commits name, and sums those of commits, about 150 bytes each.
type check struct {
	Options
	totals Totals
	named  map[string]bool
	sums   map[string]sum
	// live are what tools wrote, by keys, until the index has a row for each.
	live map[string]object.Name
}

// sum tells commits apart; the zero one is of a commit that cannot be read.
type sum [16]byte

func (c *check) found(f Finding) {
	switch {
	case f.Damage():
		c.totals.Damaged++
	case f.Cache():
		c.totals.Cache++
	case f.Kind == Carried:
		c.totals.Carried++
	case f.Kind == Abandoned, f.Kind == Leftover:
		c.totals.Abandoned++
	default:
		c.totals.Strangers++
	}
	c.Found(f)
}

func (c *check) commits(ctx context.Context) error {
	for info, err := range c.Store.List(ctx, c.Cluster.Commits(), "") {
		if err != nil {
			return err
		}
		if err := c.commit(ctx, info); err != nil {
			return err
		}
	}
	return nil
}

func (c *check) commit(ctx context.Context, info store.Info) error {
	if _, _, err := layout.ParseCommit(info.Key); err != nil {
		c.found(Finding{Kind: Stranger, Key: info.Key, Detail: err.Error()})
		return nil
	}
	c.totals.Commits++
	c.totals.Bytes += info.Size
	c.sums[info.Key] = sum{}
	commit, err := manifest.Read(ctx, c.Store, info.Key)
	switch {
	case errors.Is(err, store.ErrNotExist):
		delete(c.sums, info.Key) // deleted since it was listed
		return nil
	case errors.Is(err, manifest.ErrVersion):
		c.found(Finding{Kind: UnknownVersion, Key: info.Key, Detail: err.Error()})
		return nil
	case errors.Is(err, manifest.ErrDamaged):
		c.found(Finding{Kind: DamagedCommit, Key: info.Key, Detail: err.Error()})
		return nil
	case err != nil:
		return err
	}
	if c.sums[info.Key], err = sumOf(commit); err != nil {
		return err
	}
	if commit.Unknown != nil {
		c.found(Finding{Kind: Carried, Key: info.Key, Run: commit.Run.Namespace + "/" + commit.Run.Name, Detail: "fields of a later program"})
	}
	for i := range commit.Parts {
		if err := c.part(ctx, info.Key, commit, &commit.Parts[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *check) part(ctx context.Context, key string, commit *manifest.Commit, p *manifest.Part) error {
	run := commit.Run.Namespace + "/" + commit.Run.Name
	if !p.Known() {
		c.found(Finding{Kind: Carried, Key: cmp.Or(p.Key, key), Run: run, Detail: fmt.Sprintf("a part of type %q and state %q", p.Type, p.State)})
	}
	if p.Key == "" {
		return nil
	}
	c.named[p.Key] = true
	c.totals.Parts++
	verify := manifest.Verify
	if !p.Known() {
		verify = storedAsSaid
	}
	err := verify(ctx, c.Store, p)
	if errors.Is(err, manifest.ErrDamaged) {
		err = verify(ctx, c.Store, p) // a connection that broke looks like an object that ends
	}
	switch {
	case err == nil && p.Stored != nil:
		c.totals.Bytes += p.Stored.Bytes
	case err == nil:
	case errors.Is(err, store.ErrNotExist):
		c.found(Finding{Kind: MissingPart, Key: p.Key, Run: run})
	case errors.Is(err, manifest.ErrDamaged):
		c.found(Finding{Kind: DamagedPart, Key: p.Key, Run: run, Detail: err.Error()})
	default:
		return err
	}
	return ctx.Err()
}

// storedAsSaid looks at an object of which nobody knows what it is.
func storedAsSaid(ctx context.Context, from store.Store, p *manifest.Part) error {
	if p.Stored == nil || p.Stored.SHA256 == "" {
		return nil
	}
	return manifest.VerifyStored(ctx, from, p)
}

func (c *check) parts(ctx context.Context) error {
	for info, err := range c.Store.List(ctx, c.Cluster.Parts(), "") {
		if err != nil {
			return err
		}
		if c.named[info.Key] {
			continue
		}
		if _, _, _, _, err := layout.ParsePart(info.Key); err != nil {
			c.found(Finding{Kind: Stranger, Key: info.Key, Detail: err.Error()})
			continue
		}
		if c.Now.Sub(info.Modified) >= c.Grace {
			c.found(Finding{Kind: Abandoned, Key: info.Key, Detail: "stored " + info.Modified.UTC().Format(time.RFC3339)})
		}
	}
	return nil
}
