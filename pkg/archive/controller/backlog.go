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

// knownPatience is how long PipelineRuns of a backlog wait until the runs that they made are known:
// a list of a hundred thousand takes two minutes.
const knownPatience = 5 * time.Minute

// first is told all runs of a kind that there are.
func (c *Controller) first(ctx context.Context, kind string, all []*observed.Run) {
	c.dropPages(kind)
	var wait []*observed.Run
	for _, s := range all {
		if s.Class == c.Class && !s.OptedOut && !s.Archived && s.Finished && s.DeletionTimestamp.IsZero() {
			wait = append(wait, s)
		} else {
			c.saw(s, backlog)
		}
	}
	// A list that was streamed comes in the order of a map.
	slices.SortFunc(wait, func(a, b *observed.Run) int {
		return cmp.Compare(keyOf(a.Namespace, a.Name), keyOf(b.Namespace, b.Name))
	})
	paged := pays(len(wait), len(all))
	if kind != run.PipelineRunKind || !paged {
		c.begin(ctx, kind, wait, paged)
		return
	}
	// While what they made is not known yet, each would be looked at for nothing.
	go func() {
		select {
		case <-c.ready:
		case <-time.After(knownPatience):
		case <-ctx.Done():
			return
		}
		c.begin(ctx, kind, wait, paged)
	}()
}

// pays says whether that many runs wait, of all there are, that lists are better.
func pays(wait, all int) bool { return wait >= pagesFrom && 2*wait >= all }

// begin queues the backlog of a kind, in the order of keys.
func (c *Controller) begin(ctx context.Context, kind string, wait []*observed.Run, paged bool) {
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
		priority = parents
	}
	for _, s := range wait {
		c.saw(s, priority)
	}
}

// archive takes a run of a backlog from pages, where there are any.
func (c *Controller) archive(ctx context.Context, ref run.Reference, priority int) (archiver.Result, error) {
	if priority != backlog && priority != parents {
		if p := c.pagesOf(ref.Kind); p != nil && priority == later && p.listed.Load() {
			c.dropPages(ref.Kind) // they were for those that came before
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
