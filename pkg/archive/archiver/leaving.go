package archiver

import "time"

// judge finds the policy that is about a run as the watch shows it. What is asked of the run is not kept: there may be very many.
func (c *Controller) judge(s *sighting) {
	if s.stays == nil || s.policy != nil {
		return
	}
	s.stays.Kind = s.Kind
	if s.policy = c.ranking.About(s.stays); s.policy == nil {
		s.stays = nil
		return
	}
	s.stays.Labels = nil
}

// leaves sees to it that a released run is looked at when its time in the cluster is over.
func (c *Controller) leaves(s *sighting) {
	if s.stays == nil {
		c.ranking.Remove(s.UID)
		return
	}
	if pushedOut := c.ranking.Put(s.policy, s.stays); pushedOut != "" {
		c.add(Reference{Kind: s.Kind, Namespace: s.Namespace, Name: pushedOut}, whenIdle, time.Millisecond)
	}
	if v := c.ranking.Decide(s.policy, s.stays, c.Now()); !v.Forever && !v.Last {
		c.add(s.reference(), whenIdle, max(v.Left, time.Millisecond))
	}
}
