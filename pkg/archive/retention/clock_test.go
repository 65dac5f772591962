package retention_test

import (
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/retention"
)

// The place's Stat says that the store's clock is behind now by so much.
func TestTheEarlierClockCounts(t *testing.T) {
	for name, tt := range map[string]struct{ behind, want time.Duration }{
		"the store's, if it is behind":            {48 * time.Hour, 48 * time.Hour},
		"this machine's, if the store's is ahead": {-48 * time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, nil)
			p.behind = tt.behind
			got, err := retention.Clock(t.Context(), p, indextest.Cluster, now)
			if err != nil || !got.Equal(now.Add(-tt.want)) {
				t.Errorf("got %s, %v; want %s", got, err, now.Add(-tt.want))
			}
			for info, err := range p.List(t.Context(), indextest.Cluster.Deletions(), "") {
				t.Errorf("left %s, %v", info.Key, err)
			}
		})
	}
}
