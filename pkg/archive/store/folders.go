package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// folders creates directories and flushes them to disk. The zero value is ready.
type folders struct {
	// known has the directories whose names this process has flushed. That a directory exists does
	// not mean that its creator has flushed it.
	known sync.Map
	// flushes has a *flusher for each directory that was flushed.
	flushes sync.Map
}

// make creates a directory and its parents, durably.
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

// flush returns when all names given in a directory before the call are durable. Callers that
// arrive during a flush share the next one: fifty writers cost two flushes, not fifty.
func (f *folders) flush(path string) error {
	value, ok := f.flushes.Load(path)
	if !ok {
		value, _ = f.flushes.LoadOrStore(path, &flusher{path: path})
	}
	return value.(*flusher).flush()
}

// flusher flushes one directory. mu guards next; running is held during a flush.
type flusher struct {
	path    string
	running sync.Mutex
	mu      sync.Mutex
	next    *flush
}

// flush is one fsync, shared by several callers.
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
		// Names given after this point may miss this flush: their callers get another one.
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
