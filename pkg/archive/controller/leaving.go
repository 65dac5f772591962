package controller

import (
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// judge finds the policy that is about a run as the watch shows it. What is asked of the run is not
// kept: there may be very many.
func (c *Controller) judge(s *observed.Run) {
	if s.Stays == nil || s.Policy != nil {
		return
	}
	s.Stays.Kind = s.Kind
	if s.Policy = c.Ranking.About(s.Stays); s.Policy == nil {
		s.Stays = nil
		return
	}
	s.Stays.Labels = nil
}

// leaves sees to it that a released run is looked at when its time in the cluster is over.
func (c *Controller) leaves(s *observed.Run) {
	if s.Stays == nil {
		c.Ranking.Remove(s.UID)
		return
	}
	if pushedOut := c.Ranking.Put(s.Policy, s.Stays); pushedOut != "" {
		c.add(run.Reference{Kind: s.Kind, Namespace: s.Namespace, Name: pushedOut}, whenIdle, time.Millisecond)
	}
	if v := c.Ranking.Decide(s.Policy, s.Stays, c.Now()); !v.Forever && !v.Last {
		c.add(s.Reference(), whenIdle, max(v.Left, time.Millisecond))
	}
}
