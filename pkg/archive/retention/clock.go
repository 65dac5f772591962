package retention

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Clock returns the earlier of now and the time by the store's clock, which the age of objects is
// compared with: to a clock that is ahead, a part that is being stored looks abandoned. It stores a
// mark as if it deleted a run that never existed, and deletes it. If it is killed in between, the
// mark is deleted as those of killed deletions are.
func Clock(ctx context.Context, s store.Store, cluster layout.Cluster, now time.Time) (time.Time, error) {
	at, err := storeTime(ctx, s, cluster, now)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask the store what time it is: %w", err)
	}
	if at.Before(now) {
		return at, nil
	}
	return now, nil
}

func storeTime(ctx context.Context, s store.Store, cluster layout.Cluster, now time.Time) (at time.Time, err error) {
	key, err := cluster.Deletion(layout.Run{Created: now.UTC().Truncate(time.Second), UID: "clock"},
		strings.ToLower(rand.Text()))
	if err != nil {
		return time.Time{}, err
	}
	defer func() { err = errors.Join(err, s.Delete(context.WithoutCancel(ctx), key)) }()
	if err := createMark(ctx, s, key); err != nil {
		return time.Time{}, err
	}
	info, err := s.Stat(ctx, key)
	return info.Modified, err
}
