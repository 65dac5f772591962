package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"

	"github.com/indelible-ci/indelible/pkg/archive/catalogue"
	"github.com/indelible-ci/indelible/pkg/archive/identity"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/retention"
	"github.com/indelible-ci/indelible/pkg/archive/stay"
	"github.com/indelible-ci/indelible/pkg/archive/store"
	"github.com/indelible-ci/indelible/pkg/config"
)

const (
	// maintenance is how often the tasks run. sweeping is how often all parts are listed to find
	// those that no commit names, sweepAtOnce per hour.
	maintenance, sweeping = time.Hour, 24 * time.Hour
	sweepAtOnce           = 100_000
	// abandoned is the age at which leftovers of a writer are deleted. Must exceed the longest
	// archiving attempt: parts precede their commit.
	abandoned = 24 * time.Hour
	// choreAgain is the delay after a failed task.
	choreAgain = time.Minute
	// compactBack is how far back to look for hours with runs that are in no segment: runs may be
	// archived late.
	compactBack = 7 * 24 * time.Hour
)

// chore is a maintenance task of the archive. A failed one is retried after choreAgain, all others
// after their interval.
type chore struct {
	name string
	// every is the interval; 0: once, at the start.
	every time.Duration
	do    func(ctx context.Context, r *replica, a *archive) error
}

// never is longer than any process lives.
const never = 100 * 365 * 24 * time.Hour

// chores run in this order at the start, and then each at its interval.
var chores = []chore{
	{"index", 0, syncIndex},
	{"retention", maintenance, applyRetention},
	{"catalogue", maintenance, compactCatalogue},
	{"objects", sweeping, compactObjects},
	{"sweep", maintenance, sweepArchive},
}

// maintain runs the tasks until ctx ends, or the archive belongs to another cluster.
func (r *replica) maintain(ctx context.Context, a *archive) error {
	due := make([]time.Time, len(chores))
	for every := time.NewTicker(choreAgain / 2); ; {
		for i, c := range chores {
			if time.Now().Before(due[i]) {
				continue
			}
			err := c.do(ctx, r, a)
			if ctx.Err() != nil {
				break
			}
			if errors.Is(err, identity.ErrForeign) {
				return err
			}
			r.metrics.Chore(c.name, err)
			due[i] = time.Now().Add(cmp.Or(c.every, never))
			if err != nil {
				due[i] = time.Now().Add(choreAgain)
				r.log.Error(err, "A maintenance task failed, and is tried again", "chore", c.name,
					"after", choreAgain.String())
			}
		}
		select {
		case <-ctx.Done():
			every.Stop()
			return nil
		case <-every.C:
		}
	}
}

// syncIndex adds rows that the index lacks: it was lost, is new, or could not be reached at a
// commit.
func syncIndex(ctx context.Context, r *replica, a *archive) error {
	totals, err := index.Sync(ctx,
		index.SyncOptions{Store: a.store, Index: a.index, Cluster: a.cluster, Damaged: func(key string, err error) {
			r.log.Error(err, "An object of the archive is damaged, or refused by the index: archiver fsck says more", "key", key)
		}})
	if totals.Added+totals.Deleted > 0 {
		r.log.Info("The index was brought up to date with the archive", "runs", totals.Commits, "added", totals.Added,
			"deleted", totals.Deleted)
	}
	return err
}

func applyRetention(ctx context.Context, r *replica, a *archive) error {
	if err := a.ours(ctx); err != nil {
		return err
	}
	now, latest, err := clocks(ctx, r.kube)
	if err != nil {
		return err
	}
	// also without a policy that asks: one may be added later
	deleted, unknown := a.deletedNamespaces(ctx, r.kube, latest, false)
	policies, err := retentionOf(a.config.Retention)
	if err != nil || len(policies) == 0 {
		return errors.Join(unknown, err)
	}
	if ahead := time.Since(now); ahead > clockTolerance {
		r.log.Info("This machine's clock is ahead of the API server's, which counts for the archive's retention",
			"ahead", ahead.Round(time.Second).String())
	}
	known := func(context.Context) (map[string]time.Time, error) { return deleted, unknown }
	daily := time.Since(a.resultsKept) >= sweeping
	totals, err := retention.Apply(ctx, retention.Options{
		Store: a.store, Index: a.index, Cluster: a.cluster, Policies: policies, Now: now, Deleted: known,
		RunsOnly: !daily,
	})
	if daily { // also after an error: one tree's may last, and looking at all Results takes requests
		a.resultsKept = time.Now()
	}
	if totals.Deleted+totals.Damaged > 0 {
		r.log.Info("Runs were deleted from the archive, as its retention says", "deleted", totals.Deleted,
			"results", totals.Results, "kept", totals.Kept, "damaged", totals.Damaged, "bytes", totals.Bytes)
	}
	return err
}

// clockTolerance is the difference of clocks up to which nothing is logged.
const clockTolerance = time.Minute

// clocks returns the times of the slower and of the faster clock, this machine's and the API
// server's: a clock that is ahead must not make runs old.
func clocks(ctx context.Context, kube kubernetes.Interface) (earliest, latest time.Time, err error) {
	review, err := kube.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{},
		metav1.CreateOptions{})
	if err != nil {
		return time.Time{}, time.Time{}, fmt.Errorf(
			"ask the API server what time it is: %w; nothing is deleted from the archive", err)
	}
	now, server := time.Now(), review.CreationTimestamp.Time
	switch {
	case server.IsZero(): // supported API servers set it
		return now, now, nil
	case server.After(now):
		return now, server, nil
	}
	return server, now, nil
}

// age returns the time from which the age of objects in the archive is computed: the earliest of
// three clocks.
func (r *replica) age(ctx context.Context, a *archive) (time.Time, error) {
	now, _, err := clocks(ctx, r.kube)
	if err != nil {
		return time.Time{}, err
	}
	return retention.Clock(ctx, a.store, a.cluster, now)
}

func compactCatalogue(ctx context.Context, r *replica, a *archive) error {
	o := catalogue.Options{Store: a.store, Cluster: a.cluster, Now: time.Now(), From: time.Now().Add(-compactBack)}
	complete, err := a.index.Complete(ctx, string(a.cluster))
	if err != nil {
		return err
	}
	if complete {
		o.Keys = func(ctx context.Context, after string) iter.Seq2[string, error] {
			return a.index.Keys(ctx, string(a.cluster), after)
		}
	}
	totals, err := catalogue.Compact(ctx, o)
	if totals.Segments > 0 {
		r.log.Info("Catalogue segments were written", "segments", totals.Segments, "runs", totals.Commits)
	}
	return err
}

// compactObjects lists everything that tools wrote, and is therefore done daily. It first repairs
// the index, for writers that were killed between writing to the bucket and to the index.
func compactObjects(ctx context.Context, r *replica, a *archive) error {
	if err := a.ours(ctx); err != nil {
		return err
	}
	damaged := func(key string, err error) {
		r.log.Error(err, "An object of the archive is damaged: archiver fsck says more", "key", key)
	}
	synced, err := index.SyncObjects(ctx, index.SyncOptions{
		Store: a.store, Index: a.index, Cluster: a.cluster, Damaged: damaged,
	})
	if synced.ObjectsAdded+synced.ObjectsDeleted > 0 {
		r.log.Info("The index of what tools wrote was repaired", "added", synced.ObjectsAdded,
			"deleted", synced.ObjectsDeleted)
	}
	if err != nil {
		return err
	}
	now, err := r.age(ctx, a)
	if err != nil {
		return err
	}
	totals, err := object.New(a.store, a.cluster, time.Now).Compact(ctx,
		object.CompactOptions{Now: now, Passed: damaged})
	if totals.Segments > 0 {
		r.log.Info("Segments of objects were written", "segments", totals.Segments, "objects", totals.Objects)
	}
	return err
}

// sweepArchive continues where it stopped an hour ago, and starts over a day after it was finished.
func sweepArchive(ctx context.Context, r *replica, a *archive) error {
	if time.Since(a.swept) < sweeping {
		return nil
	}
	if err := a.ours(ctx); err != nil {
		return err
	}
	now, err := r.age(ctx, a)
	if err != nil {
		return err
	}
	if directory, ok := a.store.(*store.Directory); ok && a.sweptTo == "" { // this walks the whole directory
		if n, err := directory.Sweep(ctx, abandoned, now); err != nil {
			return err
		} else if n > 0 {
			r.log.Info("Half-written files were removed from the archive's directory", "files", n)
		}
	}
	totals, err := retention.Sweep(ctx, retention.SweepOptions{
		Store: a.store, Index: a.index, Cluster: a.cluster, Now: now, Grace: abandoned, After: a.sweptTo,
		Limit: sweepAtOnce,
	})
	if a.sweptTo = totals.Next; err == nil && a.sweptTo == "" {
		if err = sweepObjects(ctx, r, a, now); err == nil {
			a.swept = time.Now()
		}
	}
	if totals.Parts > 0 {
		r.log.Info("What no commit names was deleted from the archive", "parts", totals.Parts, "bytes", totals.Bytes)
	}
	return err
}

func sweepObjects(ctx context.Context, r *replica, a *archive, now time.Time) error {
	o := object.SweepOptions{Now: now, Grace: abandoned}
	complete, err := a.index.Complete(ctx, string(a.cluster))
	if err != nil {
		return err
	}
	if complete {
		next, stop := iter.Pull2(a.index.Objects(ctx, string(a.cluster)))
		defer stop()
		o.Known = inOrder(next)
	}
	totals, err := object.New(a.store, a.cluster, time.Now).Sweep(ctx, o)
	if n := totals.Generations + totals.Contents; n > 0 {
		r.log.Info("What tools have replaced or deleted was deleted from the archive", "objects", n,
			"bytes", totals.Bytes)
	}
	return err
}

// inOrder returns a function that reports whether the index has a key. It must be called with keys
// in ascending order. If the index fails, it returns true for all further keys, because unknown
// ones would be read.
func inOrder(next func() (object.Object, error, bool)) func(key string) bool {
	row, err, more := next()
	return func(key string) bool {
		for more && err == nil && row.Key < key {
			row, err, more = next()
		}
		return err != nil || more && row.Key == key
	}
}

// retentionOf returns the policies of archive.retention.
func retentionOf(configured []config.Retention) ([]retention.Policy, error) {
	policies := make([]retention.Policy, 0, len(configured))
	for _, c := range configured {
		p := retention.Policy{Name: c.Name, After: c.After, Namespaces: c.Namespaces,
			DeletedNamespaces: c.DeletedNamespaces, Status: c.Status}
		var err error
		if p.Selector, err = labels.Parse(c.Selector); err != nil {
			return nil, fmt.Errorf("retention %s: selector: %w", c.Name, err)
		}
		policies = append(policies, p)
	}
	return policies, nil
}

// keepOf returns the policies of archive.keep.
func keepOf(configured []config.Keep) (stay.Policies, error) {
	policies := make(stay.Policies, 0, len(configured))
	for _, c := range configured {
		p := stay.Policy{Name: c.Name, For: c.For, Forever: c.Forever, Last: c.Last, Namespaces: c.Namespaces,
			Status: c.Status}
		var err error
		if p.Selector, err = labels.Parse(c.Selector); err != nil {
			return nil, fmt.Errorf("keep %s: selector: %w", c.Name, err)
		}
		policies = append(policies, p)
	}
	return policies, nil
}

// ours fails if the archive belongs to another cluster: it was adopted since it was opened.
func (a *archive) ours(ctx context.Context) error {
	return identity.Check(ctx, a.store, a.cluster, a.kubeSystem)
}

// deletedNamespaces returns the namespaces that this cluster was seen to have and no longer has. A
// namespace goes by the later of two clocks, latest, and its age is counted by the earlier.
func (a *archive) deletedNamespaces(
	ctx context.Context, kube kubernetes.Interface, latest time.Time, readOnly bool,
) (map[string]time.Time, error) {
	o := retention.SeenOptions{Store: a.store, Cluster: a.cluster, KubeSystem: a.kubeSystem, Now: latest,
		ReadOnly: readOnly}
	if a.archivedIn != nil {
		o.Archived = a.archivedIn() // before the list, which shows those that still exist
	}
	list, err := kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	for i := range list.Items {
		o.There = append(o.There, list.Items[i].Name)
	}
	deleted, err := retention.DeletedNamespaces(ctx, o)
	if err == nil && !readOnly && a.recordedIn != nil {
		a.recordedIn(o.Archived) // now the record has them, or has had and forgotten them
	}
	return deleted, err
}
