package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// temporary is the prefix of the names of files that are not objects yet. No key has such a
// segment.
const temporary = ".tmp-"

// Directory is a store in a directory of a local or network file system.
//
// Create writes a temporary file in the same directory, flushes it, renames it without replacing
// another file, and flushes the directory. A crash before renaming leaves the temporary file, which
// Sweep deletes; a crash after it leaves the whole object. A power failure may then still undo the
// renaming, but Create has not returned yet.
type Directory struct {
	root    string
	folders folders
	// rename renames a file without replacing another one. Not every file system can.
	rename func(from, to string) error
}

// NewDirectory opens the store in a directory, which is created if missing.
func NewDirectory(root string) (*Directory, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", root, err)
	}
	d := &Directory{root: root, rename: renameNoReplace}
	if err := d.folders.make(root); err != nil {
		return nil, fmt.Errorf("open directory %s: %w", root, err)
	}
	return d, nil
}

// Create implements Store.
func (d *Directory) Create(ctx context.Context, key string, body io.Reader) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	path := d.path(key)
	_, err := os.Lstat(path)
	if err == nil {
		err = ErrExists
	} else {
		err = d.create(ctx, path, body)
	}
	if errors.Is(err, ErrExists) {
		// Its creator may not have flushed the directory yet, and callers rely on an object that
		// exists.
		err = errors.Join(err, d.folders.flush(filepath.Dir(path)))
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", key, err)
	}
	return nil
}

func (d *Directory) create(ctx context.Context, path string, body io.Reader) error {
	folder := filepath.Dir(path)
	if err := d.folders.make(folder); err != nil {
		return err
	}
	file, err := os.CreateTemp(folder, temporary+"*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // if it was not renamed, or linked
	if err := fill(ctx, file, body); err != nil {
		return err
	}
	if err := d.name(file.Name(), path); err != nil {
		return err
	}
	return d.folders.flush(folder)
}

// fill writes, flushes and closes a file.
func fill(ctx context.Context, file *os.File, body io.Reader) error {
	_, err := io.Copy(file, reader{ctx, body})
	if err == nil {
		err = file.Chmod(0o640)
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// reader returns an error when its context ends, so that a large copy stops.
type reader struct {
	ctx  context.Context //nolint:containedctx // it is used for one call
	from io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

// renameNoReplace uses RENAME_NOREPLACE, which most local and network file systems have.
func renameNoReplace(from, to string) error {
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
}

// name gives a temporary file its name, or returns ErrExists. Where the file system cannot rename
// without replacing, which is frequent with FUSE, it links, and the caller removes the temporary
// name.
func (d *Directory) name(from, to string) error {
	err := d.rename(from, to)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) {
		err = os.Link(from, to)
	}
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	return err
}

// Open implements Store.
func (d *Directory) Open(_ context.Context, key string) (io.ReadCloser, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	file, err := os.Open(d.path(key))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", key, absent(err))
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = file.Close()
		return nil, fmt.Errorf("open %s: %w", key, cmp.Or(err, ErrNotExist)) // a folder is a prefix of keys
	}
	return file, nil
}

// Stat implements Store.
func (d *Directory) Stat(_ context.Context, key string) (Info, error) {
	if err := CheckKey(key); err != nil {
		return Info{}, err
	}
	info, err := os.Lstat(d.path(key))
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist // a folder is a prefix of keys
	}
	if err != nil {
		return Info{}, fmt.Errorf("stat %s: %w", key, absent(err))
	}
	return Info{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil
}

// Delete implements Store. The folder stays, because the next object may be about to be created in
// it.
func (d *Directory) Delete(_ context.Context, key string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	path := d.path(key)
	switch err := os.Remove(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("delete %s: %w", key, err)
	}
	if err := d.folders.flush(filepath.Dir(path)); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

// List implements Store.
func (d *Directory) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		w := walk{ctx: ctx, root: d.root, prefix: prefix, after: after, yield: yield}
		w.folder(folderOf(prefix))
	}
}

// folderOf returns the folder of all keys with a prefix, or one above it.
func folderOf(prefix string) string {
	folder := prefix[:strings.LastIndexByte(prefix, '/')+1]
	if CheckKey(strings.TrimSuffix(folder, "/")) != nil {
		return "" // no key has this prefix
	}
	return folder
}

// Sweep removes the temporary files of killed writers: those that have not been written to for the
// duration idle. It returns their number.
func (d *Directory) Sweep(ctx context.Context, idle time.Duration, now time.Time) (int, error) {
	removed := 0
	err := filepath.WalkDir(d.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if !entry.Type().IsRegular() || !strings.HasPrefix(entry.Name(), temporary) {
			return nil
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && now.Sub(info.ModTime()) < idle {
			return nil
		}
		if err == nil {
			err = os.Remove(path) //nolint:gosec // G122: write access to the archive's directory allows deletion anyway
		}
		if err == nil {
			removed++
		}
		return err
	})
	if err != nil {
		return removed, fmt.Errorf("remove abandoned files below %s: %w", d.root, err)
	}
	return removed, nil
}

// Close implements Store.
func (d *Directory) Close() error { return nil }

func (d *Directory) path(key string) string { return filepath.Join(d.root, filepath.FromSlash(key)) }

// absent returns ErrNotExist for a file system's error about a missing file, else err.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return ErrNotExist
	}
	return err
}
