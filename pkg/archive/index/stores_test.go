package index_test

import (
	"context"
	"io"
	"iter"
	"sync/atomic"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

type counting struct {
	store.Store
	opens atomic.Int64
}

func (c *counting) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	c.opens.Add(1)
	return c.Store.Open(ctx, key)
}

// failing is a store that fails after some reads.
type failing struct {
	store.Store
	err  error
	left atomic.Int64
}

func (f *failing) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if f.left.Add(-1) < 0 {
		return nil, f.err
	}
	return f.Store.Open(ctx, key)
}

func (f *failing) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for info, err := range f.Store.List(ctx, prefix, after) {
			if !yield(info, err) {
				return
			}
			if f.left.Load() < 0 {
				yield(store.Info{}, f.err)
				return
			}
		}
	}
}

// hiding is a store whose list lacks a key.
type hiding struct {
	store.Store
	key string
}

func (h *hiding) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for info, err := range h.Store.List(ctx, prefix, after) {
			if info.Key != h.key && !yield(info, err) {
				return
			}
		}
	}
}
