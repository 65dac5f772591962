package controller

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/podlog"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// archives reports whether it is this archiver that is still to archive a run.
func (c *Controller) archives(s *observed.Run) bool {
	return s.Class == c.Class && !s.OptedOut && !s.Archived
}

// follow follows the logs of a run that is to be archived, while it runs. It forgets those of
// others: a run may be opted out, given to another archiver, or marked as archived at any time.
func (c *Controller) follow(s *observed.Run) {
	switch {
	case !c.archives(s):
		c.ForgetLogs(s.UID)
	case c.Follower != nil && s.Kind == run.TaskRunKind && !s.Finished && s.DeletionTimestamp.IsZero():
		for _, container := range s.Attempt.ToFollow() {
			c.Follower.Follow(s.Namespace, podlog.Key{Run: s.UID, Pod: s.Attempt.PodName, Container: container})
		}
	}
}

// keepLogs forgets the logs of all runs that are not to be archived or no longer exist, when all
// are known. Only TaskRuns have logs.
func (c *Controller) keepLogs(kind string, all []*observed.Run) {
	if c.Follower == nil || kind != run.TaskRunKind {
		return
	}
	deleted := c.Deleted.uids()
	c.Follower.KeepOnly(func(yield func(types.UID) bool) {
		for _, uid := range deleted {
			if !yield(uid) {
				return
			}
		}
		for _, s := range all {
			if c.archives(s) && !yield(s.UID) {
				return
			}
		}
	})
}
