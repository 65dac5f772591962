package controller

import (
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// findPolicy finds the policy that applies to a run from the watch, and drops the labels, which are
// no longer needed: there may be very many runs.
func (c *Controller) findPolicy(s *observed.Run) {
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

// schedulePruning queues an archived run for the end of its time in the cluster.
func (c *Controller) schedulePruning(s *observed.Run) {
	if s.Stays == nil {
		c.Ranking.Remove(s.UID)
		return
	}
	if pushedOut := c.Ranking.Put(s.Policy, s.Stays); pushedOut != "" {
		c.add(run.Reference{Kind: s.Kind, Namespace: s.Namespace, Name: pushedOut}, pruning, time.Millisecond)
	}
	if v := c.Ranking.Decide(s.Policy, s.Stays, c.Now()); !v.Forever && !v.Last {
		c.add(s.Reference(), pruning, max(v.Left, time.Millisecond))
	}
}
