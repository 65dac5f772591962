package main

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/indelible-ci/indelible/test/harness"
)

// etcd writes objects as the API server stores them.
type etcd struct{ *harness.Etcd }

// openEtcd returns nil if the folder is not the local cluster's.
func openEtcd(state string) (*etcd, error) {
	e, err := harness.OpenEtcd(state, writers)
	if errors.Is(err, harness.ErrNotLocal) {
		return nil, nil
	}
	return &etcd{e}, err
}

// writers are how many requests are under way at a time.
const writers = 32

// write writes n values, whose keys and contents each gives. Each has a revision of its own: the
// API server's caches take no two objects of one revision, as a transaction would make them.
func (e *etcd) write(ctx context.Context, n int, each func(i int) (key string, value []byte, err error)) error {
	return concurrently(ctx, n, func(ctx context.Context, i int) error {
		key, value, err := each(i)
		if err != nil {
			return err
		}
		return e.Post(ctx, "kv/put", map[string]any{"key": []byte(key), "value": value}, nil)
	})
}

// deleteBelow deletes all keys that begin with a prefix, which ends in a slash, one by one as well.
func (e *etcd) deleteBelow(ctx context.Context, prefix string) error {
	end := []byte(prefix)
	end[len(end)-1]++
	var found struct {
		Kvs []struct {
			Key []byte `json:"key"`
		} `json:"kvs"`
	}
	if err := e.Post(ctx, "kv/range", map[string]any{"key": []byte(prefix), "range_end": end, "keys_only": true},
		&found); err != nil {
		return err
	}
	return concurrently(ctx, len(found.Kvs), func(ctx context.Context, i int) error {
		return e.Post(ctx, "kv/deleterange", map[string]any{"key": found.Kvs[i].Key}, nil)
	})
}

// concurrently does something for each of n, several at a time, until one fails.
func concurrently(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(writers)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		all.Go(func() error { return do(ctx, i) })
	}
	return all.Wait()
}
