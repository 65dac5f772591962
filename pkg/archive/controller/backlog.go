package controller

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// knownPatience is how long PipelineRuns of a backlog wait until all runs are known: listing
// 100,000 takes two minutes.
const knownPatience = 5 * time.Minute

// initial handles all runs of a kind that exist when the watch starts, or starts over: then nobody
// has said which runs were deleted meanwhile.
func (c *Controller) initial(ctx context.Context, kind string, all []*observed.Run) {
	c.dropPages(kind)
	c.Ranking.Reset(kind)
	c.keepLogs(kind, all)
	var wait []*observed.Run
	for _, s := range all {
		if s.Class == c.Class && !s.OptedOut && !s.Archived && s.Finished && s.DeletionTimestamp.IsZero() {
			wait = append(wait, s)
		} else {
			c.changed(s, backlog)
		}
	}
	// A streamed list arrives in the order of a map.
	slices.SortFunc(wait, func(a, b *observed.Run) int {
		return cmp.Compare(keyOf(a.Namespace, a.Name), keyOf(b.Namespace, b.Name))
	})
	paged := pays(len(wait), len(all))
	if kind != run.PipelineRunKind || !paged {
		c.queueBacklog(ctx, kind, wait, paged)
		return
	}
	// Until the runs they created are known, attempts would be in vain.
	go func() {
		select {
		case <-c.ready:
		case <-time.After(knownPatience):
		case <-ctx.Done():
			return
		}
		c.queueBacklog(ctx, kind, wait, paged)
	}()
}

// pays reports whether so many of all runs wait that listing whole objects is cheaper than reading
// the waiting ones.
func pays(wait, all int) bool { return wait >= pagesFrom && 2*wait >= all }

// queueBacklog queues the backlog of a kind, in the order of keys.
func (c *Controller) queueBacklog(ctx context.Context, kind string, wait []*observed.Run, paged bool) {
	if paged {
		last := wait[len(wait)-1]
		before, there := c.pages.Swap(kind,
			newPages(ctx, func(ctx context.Context, limit int, next string) ([]run.Listed, string, error) {
				return c.Client.Page(ctx, kind, limit, next, pageBytes)
			}, keyOf(last.Namespace, last.Name)))
		if there {
			before.(*pages).stop()
		}
	}
	priority := backlog
	if kind == run.PipelineRunKind {
		priority = backlogParents
	}
	for _, s := range wait {
		c.changed(s, priority)
	}
}

// archive makes an attempt. For a run of a backlog it takes the object from pages, if there are
// any, and stops after the commit.
func (c *Controller) archive(ctx context.Context, ref run.Reference, priority int) (archiver.Result, error) {
	if priority != backlog && priority != backlogParents {
		if p := c.pagesOf(ref.Kind); p != nil && priority == removal && p.listed.Load() {
			c.dropPages(ref.Kind) // all runs of the backlog are committed
		}
		return c.Archive(ctx, ref, true)
	}
	if p := c.pagesOf(ref.Kind); p != nil {
		if object := p.take(ref); object != nil {
			return c.ArchiveListed(ctx, ref, object)
		}
	}
	return c.Archive(ctx, ref, false)
}

func (c *Controller) pagesOf(kind string) *pages {
	if p, ok := c.pages.Load(kind); ok {
		return p.(*pages)
	}
	return nil
}

func (c *Controller) dropPages(kind string) {
	if p, ok := c.pages.LoadAndDelete(kind); ok {
		p.(*pages).stop()
	}
}
