package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Cache is a folder of finished builds, shared by every checkout and every run of this user.
type Cache struct {
	Dir string
	// Log tells a waiting user what is going on.
	Log func(format string, args ...any)
}

// DefaultDir is $INDELIBLE_CACHE, else indelible in the user's cache folder.
func DefaultDir(env func(string) string) string {
	if dir := env("INDELIBLE_CACHE"); dir != "" {
		return dir
	}
	base := env("XDG_CACHE_HOME")
	if base == "" {
		base = filepath.Join(env("HOME"), ".cache")
	}
	return filepath.Join(base, "indelible")
}

// progressEvery is how often a long build says that it still runs.
const progressEvery = 20 * time.Second

// Once returns the folder of the build called name with this key, and calls make to fill it if there is none yet. One
// build runs at a time, in all processes: two at once on a small machine take longer than one after the other.
func (c *Cache) Once(ctx context.Context, name, key string, fill func(ctx context.Context, dir string) error) (string, error) {
	final := filepath.Join(c.Dir, name+"-"+key)
	if exists(final) {
		return final, nil
	}
	unlock, err := c.lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(final) {
		return final, nil
	}
	// A crash leaves only this folder; the rename below is what makes a build exist.
	temporary := final + ".partial"
	if err := os.RemoveAll(temporary); err != nil {
		return "", err
	}
	if err := os.MkdirAll(temporary, 0o755); err != nil {
		return "", err
	}
	if err := c.watched(ctx, name, func() error { return fill(ctx, temporary) }); err != nil {
		return "", errors.Join(fmt.Errorf("build %s: %w", name, err), os.RemoveAll(temporary))
	}
	return final, os.Rename(temporary, final)
}

// watched runs f and reports its start, its progress and its end.
func (c *Cache) watched(ctx context.Context, name string, f func() error) error {
	start := time.Now()
	c.Log("building %s", name)
	done := make(chan error, 1)
	go func() { done <- f() }()
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			if err == nil {
				c.Log("built %s in %s", name, time.Since(start).Round(time.Second))
			}
			return err
		case <-ticker.C:
			if ctx.Err() == nil {
				c.Log("building %s: %s so far", name, time.Since(start).Round(time.Second))
			}
		}
	}
}

// lock waits for the cache's lock, which the kernel frees when this process ends, however it ends.
func (c *Cache) lock() (func(), error) {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(c.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		c.Log("waiting for another build that uses %s", c.Dir)
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", file.Name(), err), file.Close())
		}
	}
	return func() { _ = file.Close() }, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
