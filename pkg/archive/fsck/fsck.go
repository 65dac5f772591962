// Package fsck verifies an archive. It reads every commit, reads back every part, and finds objects
// that no commit names. It does the same for what tools wrote. It also compares holds, segments,
// the index and the runs marked as archived in the cluster with the commits. It only reads.
//
// It is used by the command and, as the oracle, by the archiver's tests.
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

// Kind is the kind of a finding.
type Kind string

// Kinds of findings. Finding.Damage tells which are damage.
const (
	// DamagedCommit: the object at a commit's key is not that commit.
	DamagedCommit Kind = "damaged commit"
	// UnknownVersion: a later version of the format wrote the commit. Its parts are not checked.
	UnknownVersion Kind = "commit of an unknown version"
	// MissingPart: a commit names an object that does not exist.
	MissingPart Kind = "missing part"
	// DamagedPart: the object is not what its commit says.
	DamagedPart Kind = "damaged part"
	// NotArchived: the run is marked as archived in the cluster, and has no commit.
	NotArchived Kind = "marked as archived, but not in the archive"
	// HeldNotArchived: a run without a commit is held.
	HeldNotArchived Kind = "held, but not in the archive"

	// Abandoned: no commit names the part, and it is older than Grace. A killed archiver left it;
	// it may be deleted.
	Abandoned Kind = "abandoned part"
	// Carried: an unknown field, or a part of unknown type or state, which a later version wrote.
	// This version preserves it.
	Carried Kind = "unknown, carried"
	// Leftover: a generation under a deleted Result, or a content that no Log names, older than
	// Grace. It may be deleted.
	Leftover Kind = "abandoned object"
	// DamagedObject: the newest generation of what a tool wrote is not what its key says.
	DamagedObject Kind = "damaged object"
	// UnknownObject: a later version of the format wrote the object.
	UnknownObject Kind = "object of an unknown version"
	// MissingContent, DamagedContent: a Log's content does not exist, or is not what the Log says.
	MissingContent Kind = "missing content of a log"
	DamagedContent Kind = "damaged content of a log"
	// ResultHeldNotThere: a Result that does not exist, or is deleted, is held.
	ResultHeldNotThere Kind = "held, but there is no such Result"
	// Stranger: the key is not one of the archive.
	Stranger Kind = "object with a key that is not the archive's"

	// DamagedSegment: the segment may be deleted. Rebuilding an index ignores it.
	DamagedSegment Kind = "damaged segment"
	// StaleSegment: the segment has a run without a commit, or with another commit. It has to be
	// deleted, because it has data of a deleted run.
	StaleSegment Kind = "segment with a run that is not in the archive"
	// RowMissing, RowSurplus, RowDiffers: the index does not match the archive. Rebuild it.
	RowMissing Kind = "commit or object without a row in the index"
	RowSurplus Kind = "row of the index without a commit or object"
	RowDiffers Kind = "row of the index that is not what its commit says"
)

// Finding is one problem of one object.
type Finding struct {
	Kind Kind
	Key  string
	// Run is the namespace and name of the affected run, if known; for an object that tools wrote,
	// its name.
	Run string
	// Detail explains the finding, for people.
	Detail string
}

// Damage reports whether a run, or what a tool wrote, cannot be read completely any more.
func (f Finding) Damage() bool {
	switch f.Kind {
	case DamagedCommit, UnknownVersion, MissingPart, DamagedPart, NotArchived, HeldNotArchived,
		DamagedObject, UnknownObject, MissingContent, DamagedContent, ResultHeldNotThere:
		return true
	}
	return false
}

// Cache reports whether the finding is about the index or a segment, which can be rebuilt.
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

// Options of Check.
type Options struct {
	Store   store.Store
	Cluster layout.Cluster
	// Grace is the age from which unnamed parts and contents are reported. Younger ones may be in
	// use by a writer.
	Grace time.Duration
	// Now is the time by the store's clock, as nearly as known.
	Now time.Time
	// Index, if not nil, is compared with the commits.
	Index index.Index
	// Marked, if not nil, yields the runs in the cluster that are marked as archived. A run that
	// retention deleted from the archive and that is still in the cluster is reported, too: its
	// mark names a record that no longer exists.
	Marked iter.Seq2[Marked, error]
	// Found is called for each finding: commits and the parts they name, other parts, holds,
	// segments, objects, rows, marks; each in the order of keys.
	Found func(Finding)
}

// Totals count what was checked.
type Totals struct {
	Commits, Parts int
	// Bytes is the stored size of commits, parts, objects and contents.
	Bytes int64
	// Objects counts what tools wrote: newest generations that are not tombstones. Contents counts
	// the contents of large Logs.
	Objects, Contents int
	// Holds, Segments, Rows and Marked count these.
	Holds, Segments, Rows, Marked int
	// Damaged, Cache, Carried, Abandoned and Strangers count findings: damage, index and segments,
	// written by later versions, leftovers, and unknown keys.
	Damaged, Cache, Carried, Abandoned, Strangers int
}

// Marked is a run in the cluster that is marked as archived.
type Marked struct {
	Namespace, Name string
	Run             layout.Run
}

// Check verifies a cluster's archive. It returns an error if it could not check everything;
// problems of the archive are findings, not errors. What looks damaged is read again before it is
// reported.
func Check(ctx context.Context, o Options) (Totals, error) {
	c := &check{Options: o, named: map[digest]struct{}{}, live: map[string]object.Name{}}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"commits", c.commits}, {"parts", c.parts}, {"holds", c.holds}, {"segments", c.segments},
		{"objects", c.objects}, {"index", c.rows}, {"index of objects", c.objectRows}, {"marks", c.marks},
	} {
		if err := step.do(ctx); err != nil {
			return c.totals, fmt.Errorf("check %s: %w", step.what, err)
		}
	}
	return c.totals, nil
}

// check is the state of one call of Check. listed has the commits, 16 bytes each, and named the
// keys of parts that they name, 15 bytes each.
type check struct {
	Options
	totals Totals
	listed known
	named  map[digest]struct{}
	// live has what tools wrote, by key, without those that have a row in the index.
	live map[string]object.Name
}

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
	c.listed.sort()
	return nil
}

func (c *check) commit(ctx context.Context, info store.Info) error {
	if _, _, err := layout.ParseCommit(info.Key); err != nil {
		c.found(Finding{Kind: Stranger, Key: info.Key, Detail: err.Error()})
		return nil
	}
	c.totals.Commits++
	c.totals.Bytes += info.Size
	c.listed.add(info.Key)
	commit, err := manifest.Read(ctx, c.Store, info.Key)
	if errors.Is(err, manifest.ErrDamaged) {
		commit, err = manifest.Read(ctx, c.Store, info.Key) // a cut connection looks like damage
	}
	switch {
	case errors.Is(err, store.ErrNotExist):
		c.listed.last().marks |= deleted // after it was listed
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
	content, err := sumOf(commit)
	if err != nil {
		return err
	}
	c.listed.last().read(content)
	if commit.Unknown != nil {
		c.found(Finding{Kind: Carried, Key: info.Key, Run: commit.Run.Namespace + "/" + commit.Run.Name,
			Detail: "fields of a later program"})
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
		c.found(Finding{Kind: Carried, Key: cmp.Or(p.Key, key), Run: run,
			Detail: fmt.Sprintf("a part of type %q and state %q", p.Type, p.State)})
	}
	if p.Key == "" {
		return nil
	}
	c.named[digestOf([]byte(p.Key))] = struct{}{}
	c.totals.Parts++
	verify := manifest.Verify
	if !p.Known() {
		verify = verifyUnknown
	}
	err := verify(ctx, c.Store, p)
	if errors.Is(err, manifest.ErrDamaged) {
		err = verify(ctx, c.Store, p) // a cut connection looks like an object that ends too early
	}
	switch {
	case err == nil && p.Stored != nil:
		c.totals.Bytes += p.Stored.Bytes
	case err == nil:
	case errors.Is(err, store.ErrNotExist):
		return c.missingPart(ctx, key, Finding{Kind: MissingPart, Key: p.Key, Run: run})
	case errors.Is(err, manifest.ErrDamaged):
		c.found(Finding{Kind: DamagedPart, Key: p.Key, Run: run, Detail: err.Error()})
	default:
		return err
	}
	return ctx.Err()
}

// missingPart reports a part that does not exist, unless its run was deleted meanwhile.
func (c *check) missingPart(ctx context.Context, commit string, finding Finding) error {
	switch _, err := c.Store.Stat(ctx, commit); {
	case errors.Is(err, store.ErrNotExist):
		c.listed.last().marks |= deleted
	case err != nil:
		return err
	default:
		c.found(finding)
	}
	return nil
}

// verifyUnknown verifies the object of an unknown part as far as possible.
func verifyUnknown(ctx context.Context, from store.Store, p *manifest.Part) error {
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
		if _, ok := c.named[digestOf([]byte(info.Key))]; ok {
			continue
		}
		if _, _, _, _, err := layout.ParsePart(info.Key); err != nil {
			c.found(Finding{Kind: Stranger, Key: info.Key, Detail: err.Error()})
			continue
		}
		if c.Now.Sub(info.Modified) >= c.Grace {
			c.found(Finding{Kind: Abandoned, Key: info.Key, Detail: "stored " +
				info.Modified.UTC().Format(time.RFC3339)})
		}
	}
	return nil
}
