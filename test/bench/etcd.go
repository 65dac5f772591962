package main

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/indelible-ci/indelible/test/harness"
)

// etcd writes objects in the form in which the API server stores them.
type etcd struct{ *harness.Etcd }

// openEtcd returns nil if the folder is not the local cluster's.
func openEtcd(state string) (*etcd, error) {
	e, err := harness.OpenEtcd(state, writers)
	if errors.Is(err, harness.ErrNotLocal) {
		return nil, nil
	}
	return &etcd{e}, err
}

// writers is the number of concurrent requests.
const writers = 32

// write writes n values, each by its own request: the API server's caches do not accept two objects
// with one revision, as a transaction would create.
func (e *etcd) write(ctx context.Context, n int, each func(i int) (key string, value []byte, err error)) error {
	return concurrently(ctx, n, func(ctx context.Context, i int) error {
		key, value, err := each(i)
		if err != nil {
			return err
		}
		return e.Post(ctx, "kv/put", map[string]any{"key": []byte(key), "value": value}, nil)
	})
}

// deleteBelow deletes all keys with a prefix that ends in a slash, each by its own request.
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

// concurrently calls do for each of n, several at a time, until one fails.
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
