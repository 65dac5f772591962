package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/test/cluster/lock"
)

// Cache is a folder of finished builds, shared by every checkout and every run of this user.
type Cache struct {
	Dir string
	// Log tells a waiting user what is happening.
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
const progressEvery = 30 * time.Second

// Entry names a build and the digest of everything that goes into it.
type Entry struct {
	Name, Key string
	// Usual is how long it takes with empty caches on two cores, for a user who waits; 0 if it
	// takes a moment.
	Usual time.Duration
}

// Has says whether a build of this name is kept, with whatever key.
func (c *Cache) Has(name string) bool {
	found, err := filepath.Glob(filepath.Join(c.Dir, name+"-"+strings.Repeat("[0-9a-f]", keyLength)))
	return err == nil && len(found) > 0
}

// Once returns the folder of the entry, and calls fill to make it if there is none yet. One build
// runs at a time, in all processes: two at once on a small machine take longer than one after the
// other.
func (c *Cache) Once(
	ctx context.Context, entry Entry, fill func(ctx context.Context, dir string) error,
) (string, error) {
	final := filepath.Join(c.Dir, entry.Name+"-"+entry.Key)
	if exists(final) {
		return final, nil
	}
	unlock, err := lock.Hold(ctx, filepath.Join(c.Dir, "lock"),
		func() { c.Log("waiting for another build that uses %s", c.Dir) })
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
	if err := c.watched(ctx, entry, func() error { return fill(ctx, temporary) }); err != nil {
		return "", errors.Join(fmt.Errorf("build %s: %w", entry.Name, err), os.RemoveAll(temporary))
	}
	return final, os.Rename(temporary, final)
}

// watched runs f and reports its start, its progress and its end.
func (c *Cache) watched(ctx context.Context, entry Entry, f func() error) error {
	start := time.Now()
	c.Log("building %s%s", entry.Name, usually(entry.Usual, "; with empty caches on two cores that takes about %s"))
	done := make(chan error, 1)
	go func() { done <- f() }()
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			if err == nil {
				c.Log("built %s in %s", entry.Name, time.Since(start).Round(time.Second))
			}
			return err
		case <-ticker.C:
			if ctx.Err() == nil {
				c.Log("building %s: %s%s", entry.Name, time.Since(start).Round(time.Second),
					usually(entry.Usual, " of about %s"))
			}
		}
	}
}

// usually is what a message says of the expected duration: nothing for a build that takes a moment.
func usually(duration time.Duration, format string) string {
	if duration == 0 {
		return ""
	}
	return fmt.Sprintf(format, strings.TrimSuffix(duration.String(), "0s"))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
