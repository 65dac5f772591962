package store

import "golang.org/x/sys/unix"

// LinkOnly makes a directory behave as on a file system that cannot rename without replacing.
func LinkOnly(d *Directory) *Directory {
	d.rename = func(string, string) error { return unix.EINVAL }
	return d
}
