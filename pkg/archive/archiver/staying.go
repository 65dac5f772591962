package archiver

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/stay"
)

// Staying is an archived run in the cluster, and what policies say of it.
type Staying struct {
	Reference
	stay.Verdict
}

// WhoStays says of all runs of a class that are archived, and that no other run made, whether policies keep them in the cluster. It asks the
// API server, and changes nothing.
func WhoStays(ctx context.Context, config *rest.Config, class string, policies stay.Policies, now time.Time) ([]Staying, error) {
	c, err := newClient(config)
	if err != nil {
		return nil, err
	}
	ranking := stay.NewRanking(policies)
	var all []*sighting
	for i, resource := range Resources {
		path := "/apis/" + resource.Group + "/" + resource.Version + "/" + resource.Resource
		for next, more := "", true; more; more = next != "" {
			some, err := page(ctx, c, path, next)
			if apierrors.IsNotFound(err) {
				break // there is no Tekton
			}
			if err != nil {
				return nil, fmt.Errorf("list %s: %w", resource.Resource, err)
			}
			for j := range some.Items {
				s := some.Items[j]
				if s.class != class || s.stays == nil {
					continue
				}
				s.Kind, s.stays.Kind = kinds[i], kinds[i]
				s.policy = ranking.About(s.stays)
				s.stays.Labels = nil // there may be very many
				ranking.Put(s.policy, s.stays)
				all = append(all, &s)
			}
			next = some.Continue
		}
	}
	found := make([]Staying, 0, len(all))
	for _, s := range all {
		found = append(found, Staying{s.reference(), ranking.Decide(s.policy, s.stays, now)})
	}
	return found, nil
}

// page lists some runs, whole: what they are of is not in their metadata.
func page(ctx context.Context, c *client, path, next string) (*sightings, error) {
	data, err := c.list(ctx, path, pageSize, next)
	if err != nil {
		return nil, err
	}
	page := &sightings{}
	return page, json.Unmarshal(data, page)
}
