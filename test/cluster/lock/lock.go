// Package lock lets one process at a time do something on this machine, and tells a user who has to
// wait.
package lock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// retryEvery is short enough for a person, and a wait for a lock ends with its context, which a
// blocking flock does not.
const retryEvery = 200 * time.Millisecond

// Hold takes the lock at path. waiting is called once if somebody else has it. The kernel frees it
// when this process ends, however it ends; the file is removed on release, so that nothing stays
// behind.
func Hold(ctx context.Context, path string, waiting func()) (release func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	for {
		file, err := try(path)
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if file != nil {
			return func() { _ = errors.Join(os.Remove(path), file.Close()) }, nil
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the lock %s: %w", path, ctx.Err())
		case <-time.After(retryEvery):
		}
	}
}

// try returns the locked file, or nil if the lock is another's. A file that was removed between
// opening and locking is not the lock any more: the next process would make and lock a new one
// beside it.
func try(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = nil
		}
		return nil, errors.Join(err, file.Close())
	}
	mine, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if now, err := os.Stat(path); err != nil || !os.SameFile(mine, now) {
		return nil, file.Close()
	}
	return file, nil
}
