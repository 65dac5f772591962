package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// folders makes directories and flushes them to the disk. The zero value is ready.
type folders struct {
	// known holds the directories whose own name this process has flushed. That a directory is
	// there does not say so: its maker may not have come to it yet.
	known sync.Map
	// flushes holds a *flusher for each directory that was flushed.
	flushes sync.Map
}

// make makes a directory and all above it, durably.
func (f *folders) make(path string) error {
	if _, ok := f.known.Load(path); ok {
		return nil
	}
	err := os.Mkdir(path, 0o750)
	parent := filepath.Dir(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := f.make(parent); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o750)
	}
	if errors.Is(err, fs.ErrExist) {
		err = isFolder(path)
	}
	if err == nil && parent != path {
		err = f.flush(parent)
	}
	if err == nil {
		f.known.Store(path, struct{}{})
	}
	return err
}

func isFolder(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "mkdir", Path: path, Err: errors.New("there is a file of this name")}
	}
	return err
}

// flush returns when all names given in a directory before the call are durable. Calls that come
// while another flushes share the next flush: fifty writers cost two, not fifty.
func (f *folders) flush(path string) error {
	value, ok := f.flushes.Load(path)
	if !ok {
		value, _ = f.flushes.LoadOrStore(path, &flusher{path: path})
	}
	return value.(*flusher).flush()
}

// flusher flushes one directory. mu owns next; running is held while the disk works.
type flusher struct {
	path    string
	running sync.Mutex
	mu      sync.Mutex
	next    *flush
}

// flush is one call to the disk, which several callers wait for.
type flush struct {
	once sync.Once
	err  error
}

func (f *flusher) flush() error {
	f.mu.Lock()
	if f.next == nil {
		f.next = &flush{}
	}
	mine := f.next
	f.mu.Unlock()

	f.running.Lock()
	defer f.running.Unlock()
	mine.once.Do(func() {
		// From here on a new caller's names may come too late for this flush: it gets another.
		f.mu.Lock()
		f.next = nil
		f.mu.Unlock()
		mine.err = syncFolder(f.path)
	})
	return mine.err
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
