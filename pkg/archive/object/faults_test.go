package object

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"sync"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

var errDead = errors.New("the process was killed")

// dying executes a number of changing calls, and fails all later ones.
type dying struct {
	store.Store
	mu   sync.Mutex
	left int
}

func (d *dying) dead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left--
	return d.left < 0
}

func (d *dying) Create(ctx context.Context, key string, body io.Reader) error {
	if d.dead() {
		return errDead
	}
	return d.Store.Create(ctx, key, body)
}

func (d *dying) Delete(ctx context.Context, key string) error {
	if d.dead() {
		return errDead
	}
	return d.Store.Delete(ctx, key)
}

// counting counts opened objects, by class.
type counting struct {
	store.Store
	mu     sync.Mutex
	opened map[string]int
}

func (c *counting) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	c.mu.Lock()
	if c.opened == nil {
		c.opened = map[string]int{}
	}
	c.opened[strings.Split(key, "/")[2]]++
	c.mu.Unlock()
	return c.Store.Open(ctx, key)
}

// before calls a function before a creation or a listing, once.
type before struct {
	store.Store
	create, list func(key string)
}

func (b *before) Create(ctx context.Context, key string, body io.Reader) error {
	if do := b.create; do != nil {
		b.create = nil
		do(key)
	}
	return b.Store.Create(ctx, key, body)
}

func (b *before) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	if do := b.list; do != nil {
		b.list = nil
		do(prefix)
	}
	return b.Store.List(ctx, prefix, after)
}
