// Package fsck compares an archive with what it says of itself: every commit is read, every part it names is read back and
// compared, and what no commit names is found. It only reads.
//
// It is a library, the command's, and the oracle of the archiver's tests.
package fsck

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Kind says what is wrong with an object.
type Kind string

// Kinds of findings. All but Abandoned are damage.
const (
	// DamagedCommit: the object at a commit's key is not that commit.
	DamagedCommit Kind = "damaged commit"
	// UnknownVersion: a commit of a later version of the format; its parts were not looked at.
	UnknownVersion Kind = "commit of an unknown version"
	// MissingPart: a commit names an object that is not there.
	MissingPart Kind = "missing part"
	// DamagedPart: the object is not what the commit says.
	DamagedPart Kind = "damaged part"
	// Abandoned: no commit names the part, and it is older than any attempt to archive a run takes. It is what an
	// archiver leaves that was killed. It may be deleted.
	Abandoned Kind = "abandoned part"
	// Stranger: an object that is not the archive's.
	Stranger Kind = "object with a key that is not the archive's"
)

// Finding is one object with which something is wrong.
type Finding struct {
	Kind Kind
	Key  string
	// Run is the run that is affected, where it is known: its namespace and name.
	Run string
	// Detail says what was found, for people.
	Detail string
}

// Damage says whether a run can no longer be read in full.
func (f Finding) Damage() bool { return f.Kind != Abandoned && f.Kind != Stranger }

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
	// Found is called for each finding, in the order of keys: commits first.
	Found func(Finding)
}

// Totals count what was looked at.
type Totals struct {
	Commits, Parts int
	// Bytes are those of commits and parts as stored.
	Bytes int64
	// Damaged counts findings that are damage, Abandoned and Strangers the others.
	Damaged, Abandoned, Strangers int
}

// Check looks at a whole cluster's archive. The error says that it could not be looked at to the end; what is wrong with the archive
// is no error but findings. Reads that fail are tried again before an object counts as damaged.
func Check(ctx context.Context, o Options) (Totals, error) {
	c := &check{Options: o, named: map[string]bool{}}
	if err := c.commits(ctx); err != nil {
		return c.totals, fmt.Errorf("check commits: %w", err)
	}
	if err := c.parts(ctx); err != nil {
		return c.totals, fmt.Errorf("check parts: %w", err)
	}
	return c.totals, nil
}

// check is one run of Check. named holds the keys that commits name, about 150 bytes each.
type check struct {
	Options
	totals Totals
	named  map[string]bool
}

func (c *check) found(f Finding) {
	switch {
	case f.Damage():
		c.totals.Damaged++
	case f.Kind == Abandoned:
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
	commit, err := manifest.Read(ctx, c.Store, info.Key)
	switch {
	case errors.Is(err, store.ErrNotExist):
		return nil // deleted since it was listed
	case errors.Is(err, manifest.ErrVersion):
		c.found(Finding{Kind: UnknownVersion, Key: info.Key, Detail: err.Error()})
		return nil
	case errors.Is(err, manifest.ErrDamaged):
		c.found(Finding{Kind: DamagedCommit, Key: info.Key, Detail: err.Error()})
		return nil
	case err != nil:
		return err
	}
	for i := range commit.Parts {
		if err := c.part(ctx, commit, &commit.Parts[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *check) part(ctx context.Context, commit *manifest.Commit, p *manifest.Part) error {
	if p.Key == "" {
		return nil
	}
	c.named[p.Key] = true
	c.totals.Parts++
	err := manifest.Verify(ctx, c.Store, p)
	if errors.Is(err, manifest.ErrDamaged) {
		err = manifest.Verify(ctx, c.Store, p) // a connection that broke looks like an object that ends
	}
	run := commit.Run.Namespace + "/" + commit.Run.Name
	switch {
	case err == nil:
		c.totals.Bytes += p.Stored.Bytes
	case errors.Is(err, store.ErrNotExist):
		c.found(Finding{Kind: MissingPart, Key: p.Key, Run: run})
	case errors.Is(err, manifest.ErrDamaged):
		c.found(Finding{Kind: DamagedPart, Key: p.Key, Run: run, Detail: err.Error()})
	default:
		return err
	}
	return ctx.Err()
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
