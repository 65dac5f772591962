package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// walk yields the objects of a directory in byte order of their keys. Memory is bounded by the
// largest folders on one path, not by the number of objects.
type walk struct {
	ctx           context.Context //nolint:containedctx // it is used for one listing
	root          string
	prefix, after string
	yield         func(Info, error) bool
}

// folder lists one folder, whose key is "" or ends with a slash. It returns false to stop.
func (w *walk) folder(key string) bool {
	entries, err := os.ReadDir(filepath.Join(w.root, filepath.FromSlash(key)))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return true // removed meanwhile, or never existed
	}
	if err != nil {
		w.yield(Info{}, fmt.Errorf("list %s: %w", key, err))
		return false
	}
	// A folder sorts as its keys do, with a slash after its name: a-b, a/b, a.b would be a, a-b,
	// a.b by name alone.
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(sortName(a), sortName(b)) })
	for _, entry := range entries {
		if !w.entry(key+sortName(entry), entry) {
			return false
		}
	}
	return true
}

func sortName(entry fs.DirEntry) string {
	if entry.IsDir() {
		return entry.Name() + "/"
	}
	return entry.Name()
}

func (w *walk) entry(key string, entry fs.DirEntry) bool {
	if err := w.ctx.Err(); err != nil {
		w.yield(Info{}, fmt.Errorf("list: %w", err))
		return false
	}
	switch {
	case entry.IsDir():
		return !w.leadsTo(key) || w.folder(key)
	case !entry.Type().IsRegular() || !strings.HasPrefix(key, w.prefix) || key <= w.after || CheckKey(key) != nil:
		return true // CheckKey: temporary and foreign files
	}
	info, err := entry.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return true // deleted meanwhile
	}
	if err != nil {
		w.yield(Info{}, fmt.Errorf("list %s: %w", key, err))
		return false
	}
	return w.yield(Info{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil)
}

// leadsTo reports whether a folder may contain requested keys.
func (w *walk) leadsTo(folder string) bool {
	within := strings.HasPrefix(folder, w.prefix) || strings.HasPrefix(w.prefix, folder)
	return within && (strings.HasPrefix(w.after, folder) || folder > w.after)
}
