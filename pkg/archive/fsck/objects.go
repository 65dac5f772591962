package fsck

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// What tools wrote: the newest generation of each object and its content are read. Older
// generations are obsolete and not read.

func (c *check) objects(ctx context.Context) error {
	objects := object.New(c.Store, c.Cluster, func() time.Time { return c.Now })
	trees, contents := map[string]bool{}, map[string]bool{}
	for found, err := range objects.Check(ctx) {
		if err != nil {
			return err
		}
		if err := c.object(ctx, objects, found, contents); err != nil {
			return err
		}
		if found.Live {
			trees[found.Tree] = true
			c.live[found.Info.Key] = found.Object.Name()
		}
	}
	for _, step := range []func() error{
		func() error { return c.contents(ctx, contents) },
		func() error { return c.resultHolds(ctx, trees) },
		func() error { return c.objectSegments(ctx, objects) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// object checks one key.
func (c *check) object(
	ctx context.Context, objects *object.Objects, found object.Found, contents map[string]bool,
) error {
	old := c.Now.Sub(found.Info.Modified) >= c.Grace
	name := ""
	if found.Object != nil {
		name = found.Object.Name().String()
	}
	switch {
	case found.Stranger:
		c.found(Finding{Kind: Stranger, Key: found.Info.Key, Detail: "its name is not that of an object"})
		return nil
	case errors.Is(found.Err, object.ErrVersion):
		c.found(Finding{Kind: UnknownObject, Key: found.Info.Key, Detail: found.Err.Error()})
		return nil
	case found.Err != nil:
		c.found(Finding{Kind: DamagedObject, Key: found.Info.Key, Detail: found.Err.Error()})
		return nil
	case !found.Live:
		if found.Leftover && old {
			c.leftover(found.Info)
		}
		return nil
	}
	c.totals.Objects++
	c.totals.Bytes += found.Info.Size
	if found.Object.Unknown != nil {
		c.found(Finding{Kind: Carried, Key: found.Info.Key, Run: name, Detail: "fields of a later program"})
	}
	if found.Object.Kind != object.Log {
		return nil
	}
	return c.log(ctx, objects, found, contents)
}

func (c *check) leftover(info store.Info) {
	c.found(Finding{Kind: Leftover, Key: info.Key, Detail: "stored " + info.Modified.UTC().Format(time.RFC3339)})
}

// log verifies the content of a Log.
func (c *check) log(ctx context.Context, objects *object.Objects, found object.Found, contents map[string]bool) error {
	name := found.Object.Name().String()
	content, err := object.ContentOf(found.Object)
	if err != nil {
		c.found(Finding{Kind: DamagedObject, Key: found.Info.Key, Run: name, Detail: err.Error()})
		return nil
	}
	if content.Part == "" {
		return nil
	}
	contents[content.Part] = true
	c.totals.Contents++
	err = objects.Verify(ctx, content)
	if err != nil && object.Damaged(err) {
		err = objects.Verify(ctx, content) // a cut connection looks like an object that ends too early
	}
	switch {
	case err == nil:
		c.totals.Bytes += content.Stored.Bytes
	case errors.Is(err, store.ErrNotExist):
		again, err := objects.Get(ctx, found.Object.Name())
		switch {
		case err == nil && again.Key == found.Info.Key:
			c.found(Finding{Kind: MissingContent, Key: content.Part, Run: name})
		case err != nil && !object.Unreadable(err) && !errors.Is(err, object.ErrNotExist):
			return err
		}
	case object.Damaged(err):
		c.found(Finding{Kind: DamagedContent, Key: content.Part, Run: name, Detail: err.Error()})
	default:
		return err
	}
	return ctx.Err()
}

func (c *check) contents(ctx context.Context, named map[string]bool) error {
	for info, err := range c.Store.List(ctx, c.Cluster.Contents(), "") {
		if err != nil {
			return err
		}
		if named[info.Key] {
			continue
		}
		if _, _, _, err := layout.ParseContent(info.Key); err != nil {
			c.found(Finding{Kind: Stranger, Key: info.Key, Detail: err.Error()})
		} else if c.Now.Sub(info.Modified) >= c.Grace {
			c.leftover(info)
		}
	}
	return nil
}

func (c *check) resultHolds(ctx context.Context, trees map[string]bool) error {
	for info, err := range c.Store.List(ctx, c.Cluster.ResultHolds(), "") {
		if err != nil {
			return err
		}
		_, tree, err := layout.ParseResultHold(info.Key)
		if err != nil {
			c.found(Finding{Kind: Stranger, Key: info.Key, Detail: err.Error()})
			continue
		}
		if c.totals.Holds++; !trees[tree] && c.Now.Sub(info.Modified) >= c.Grace {
			c.found(Finding{Kind: ResultHeldNotThere, Key: info.Key})
		}
	}
	return nil
}

func (c *check) objectSegments(ctx context.Context, objects *object.Objects) error {
	for info, err := range c.Store.List(ctx, c.Cluster.ObjectSegments(), "") {
		if err != nil {
			return err
		}
		if _, _, err := layout.ParseObjectSegment(info.Key); err != nil {
			c.found(Finding{Kind: Stranger, Key: info.Key, Detail: err.Error()})
			continue
		}
		c.totals.Segments++
		err = objects.CheckSegment(ctx, info.Key)
		if object.Damaged(err) {
			err = objects.CheckSegment(ctx, info.Key)
		}
		switch {
		case object.Damaged(err):
			c.found(Finding{Kind: DamagedSegment, Key: info.Key, Detail: err.Error()})
		case err != nil && !errors.Is(err, store.ErrNotExist):
			return fmt.Errorf("segment %s: %w", info.Key, err)
		}
	}
	return nil
}

// objectRows compares the index with what tools wrote, and its counts with its rows.
func (c *check) objectRows(ctx context.Context) error {
	if c.Index == nil {
		return nil
	}
	objects := object.New(c.Store, c.Cluster, func() time.Time { return c.Now })
	for row, err := range c.Index.Objects(ctx, string(c.Cluster)) {
		if err != nil {
			return err
		}
		c.totals.Rows++
		if _, ok := c.live[row.Key]; ok {
			delete(c.live, row.Key)
			continue
		}
		newest, err := objects.Get(ctx, row.Name())
		switch {
		case err == nil && newest.Key == row.Key, err != nil && object.Unreadable(err) &&
			!errors.Is(err, object.ErrNotExist):
			// written after it was listed, or damaged, which is reported elsewhere
		case err == nil || errors.Is(err, object.ErrNotExist):
			c.found(Finding{Kind: RowSurplus, Key: row.Key, Run: row.Name().String()})
		default:
			return err
		}
	}
	if err := c.rowsMissing(ctx, objects); err != nil {
		return err
	}
	wrong, err := c.Index.CheckCounts(ctx, false)
	if err == nil && wrong > 0 {
		c.found(Finding{Kind: RowDiffers, Key: "counts",
			Detail: fmt.Sprintf("%d counts of the index are not what it has", wrong)})
	}
	return err
}

// rowsMissing reports objects without a row, if they still are the newest.
func (c *check) rowsMissing(ctx context.Context, objects *object.Objects) error {
	for _, key := range slices.Sorted(maps.Keys(c.live)) {
		newest, err := objects.Get(ctx, c.live[key])
		switch {
		case err == nil && newest.Key == key:
			c.found(Finding{Kind: RowMissing, Key: key, Run: c.live[key].String()})
		case err != nil && !object.Unreadable(err) && !errors.Is(err, object.ErrNotExist):
			return err
		}
	}
	return nil
}
