package archiver

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/stay"
)

// Staying is an archived run in the cluster, with what the policies decide about it.
type Staying struct {
	run.Reference
	stay.Verdict
}

// WhoStays returns what policies decide about the archived runs of a class that no other run
// created. It reads from the API server, and changes nothing.
func WhoStays(
	ctx context.Context, config *rest.Config, class string, policies stay.Policies, now time.Time,
) ([]Staying, error) {
	c, err := run.NewClient(config)
	if err != nil {
		return nil, err
	}
	ranking := stay.NewRanking(policies)
	var all []*observed.Run
	for i, resource := range run.Resources {
		for next, more := "", true; more; more = next != "" {
			some, after, err := page(ctx, c, run.Kinds[i], next)
			if apierrors.IsNotFound(err) {
				break // Tekton is not installed
			}
			if err != nil {
				return nil, fmt.Errorf("list %s: %w", resource.Resource, err)
			}
			for _, s := range some {
				if s.Class != class || s.Stays == nil {
					continue
				}
				s.Kind, s.Stays.Kind = run.Kinds[i], run.Kinds[i]
				s.Policy = ranking.About(s.Stays)
				s.Stays.Labels = nil // no longer needed, and there may be many runs
				ranking.Put(s.Policy, s.Stays)
				all = append(all, s)
			}
			next = after
		}
	}
	found := make([]Staying, 0, len(all))
	for _, s := range all {
		found = append(found, Staying{s.Reference(), ranking.Decide(s.Policy, s.Stays, now)})
	}
	return found, nil
}

// page lists runs as whole objects: the reference to a Pipeline or Task is not in their metadata.
// It leaves out what cannot be decoded.
func page(ctx context.Context, c *run.Client, kind, next string) (some []*observed.Run, after string, err error) {
	list, err := c.List(ctx, kind, observed.PageSize, next)
	if err != nil {
		return nil, "", err
	}
	defer list.Close()
	about, err := observed.ReadList(list, func(object []byte) {
		s := &observed.Run{}
		if s.Read(object) == nil {
			s.Object = nil
			some = append(some, s)
		}
	})
	return some, about.Continue, err
}
