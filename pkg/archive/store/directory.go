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

// temporary begins the names of files that are no objects yet. No key has such a segment.
const temporary = ".tmp-"

// Directory is a store in a directory of a local or network file system.
//
// Create writes a temporary file in the same directory, flushes it, gives it its name without
// replacing another file, and flushes the directory. A crash before naming leaves the temporary
// file, which Sweep deletes; a crash after it leaves the whole object. Its name may then still be
// lost with the power, but Create has not returned.
type Directory struct {
	root    string
	folders folders
}

// NewDirectory opens the store in a directory, which is created if missing.
func NewDirectory(root string) (*Directory, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", root, err)
	}
	d := &Directory{root: root}
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
	defer os.Remove(file.Name()) // if naming failed, or made a second name
	if err := fill(ctx, file, body); err != nil {
		return err
	}
	if err := name(file.Name(), path); err != nil {
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

// reader ends when its context does, in the middle of a large copy, too.
type reader struct {
	ctx  context.Context //nolint:containedctx // it lives as long as the one call that made it
	from io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

// name gives a file its name, or returns ErrExists. It renames without replacing where the file
// system can, else it links, and the caller removes the temporary name. Network file systems have
// RENAME_NOREPLACE, FUSE often only links.
func name(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
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

// Delete implements Store. The folder stays: it may be about to get another object.
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

// folderOf returns the folder that all keys are in which begin with a prefix, or one above it.
func folderOf(prefix string) string {
	folder := prefix[:strings.LastIndexByte(prefix, '/')+1]
	if CheckKey(strings.TrimSuffix(folder, "/")) != nil {
		return "" // no key begins so
	}
	return folder
}

// Sweep removes the temporary files of writers that did not live to remove them: those that nobody has written to for so
// long. It returns their number.
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
			err = os.Remove(path) //nolint:gosec // G122: whoever can put links into the archive's directory can delete from it anyway
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

// absent turns what a file system says of a missing object into what a store says.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return ErrNotExist
	}
	return err
}
