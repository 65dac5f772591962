package podlog

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// Files outlive their process: a run may wait for days until the archive is back, and when its pod
// is gone, the spool has the only copy of its logs. So a file is deleted only when its run is
// forgotten, or when all runs are known and its run is not among them; never because of its age.

const logSuffix = ".log"

// fileOf returns the name of the file of a container's log. The namespace and the run's UID say to
// later processes whose it is. The rest is a digest, because users can choose container names in a
// status.
func fileOf(namespace string, key Key) string {
	return inName(namespace) + "_" + inName(string(key.Run)) + "_" + key.digest() + logSuffix
}

func (k Key) digest() string { return digestOf(string(k.Run) + "\x00" + k.Pod + "\x00" + k.Container) }

func digestOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

var (
	plainName  = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
	fileName   = regexp.MustCompile(`^([a-z0-9-]{1,63})_([a-z0-9-]{1,63})_[0-9a-f]{32}\.log$`)
	formerName = regexp.MustCompile(`^[0-9a-f]{32}\.log$`)
)

// inName returns a namespace or a UID as it is in names of files: itself. The API server allows no
// other characters, but what it does not check may not become a path.
func inName(s string) string {
	if plainName.MatchString(s) {
		return s
	}
	return digestOf(s)
}

// leftover is a file that an earlier process has left, until its log is asked for.
type leftover struct {
	file, namespace string
	share           *share
	size            int64
}

// formerFiles have names that do not say whose they are, as versions up to November 2026 gave them.
// They count in no share until they are asked for, and are deleted when no run waits any more that
// was there when all were first known.
type formerFiles struct {
	// sizes by name.
	sizes map[string]int64
	// owners are the runs that may own one; nil until all runs are known.
	owners map[string]struct{}
}

func (o *formerFiles) forget(run string) { delete(o.owners, run) }

// keepOnly is called with the names of all runs that may still need their logs.
func (o *formerFiles) keepOnly(runs map[string]struct{}) {
	if o.owners == nil {
		o.owners = runs
		return
	}
	for run := range o.owners {
		if _, there := runs[run]; !there {
			delete(o.owners, run)
		}
	}
}

// findLeftovers finds and counts the files that an earlier process has left in the spool.
func (f *Follower) findLeftovers() error {
	files, err := os.ReadDir(f.spool)
	if err != nil {
		return fmt.Errorf("read the spool of followed logs: %w", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file.Name(), againSuffix) { // its process was killed while it read
			if err := os.Remove(filepath.Join(f.spool, file.Name())); err != nil {
				return fmt.Errorf("delete a log of the spool that is not whole: %w", err)
			}
			continue
		}
		if info, err := file.Info(); err == nil && info.Mode().IsRegular() {
			f.findLeftover(file.Name(), info.Size())
		}
	}
	return nil
}

func (f *Follower) findLeftover(file string, size int64) {
	if formerName.MatchString(file) {
		f.former.sizes[file] = size
		return
	}
	owner := fileName.FindStringSubmatch(file)
	if owner == nil {
		return
	}
	left := leftover{file: file, namespace: owner[1], share: f.share(owner[1]), size: size}
	left.share.files++
	f.count(left.share, size)
	f.left[owner[2]] = append(f.left[owner[2]], left)
}

// takeUp returns the size of a log that an earlier process has left, which is no leftover any more.
// It is called with mu held.
func (f *Follower) takeUp(namespace string, key Key) (size int64, found bool) {
	run, file := inName(string(key.Run)), fileOf(namespace, key)
	at := slices.IndexFunc(f.left[run], func(l leftover) bool { return l.file == file })
	if at < 0 {
		return f.takeUpFormer(namespace, key)
	}
	left := f.left[run][at]
	left.share.files--
	if f.left[run] = slices.Delete(f.left[run], at, at+1); len(f.left[run]) == 0 {
		delete(f.left, run)
	}
	return left.size, true
}

// takeUpFormer is takeUp for a file with a name of before.
func (f *Follower) takeUpFormer(namespace string, key Key) (size int64, found bool) {
	former := key.digest() + logSuffix
	if size, found = f.former.sizes[former]; !found {
		return 0, false
	}
	err := os.Rename(filepath.Join(f.spool, former), filepath.Join(f.spool, fileOf(namespace, key)))
	if err != nil {
		f.log.Error(err, "A followed log of an earlier version cannot be used", "file", former)
		return 0, false
	}
	delete(f.former.sizes, former)
	f.count(f.share(namespace), size)
	return size, true
}

// KeepOnly deletes the logs of all runs but the given ones. It is to be called when all runs of the
// cluster are known, with those that are still to be archived.
func (f *Follower) KeepOnly(runs iter.Seq[types.UID]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	others, all := map[string]struct{}{}, map[string]struct{}{}
	for run := range f.tails {
		others[run] = struct{}{}
	}
	for run := range f.left {
		others[run] = struct{}{}
	}
	for uid := range runs {
		delete(others, inName(string(uid)))
		if len(f.former.sizes) > 0 { // there may be very many runs
			all[inName(string(uid))] = struct{}{}
		}
	}
	for run := range others {
		f.forget(run)
	}
	f.former.keepOnly(all)
	f.removeFormer()
}

// removeLeft deletes the leftovers of a run. It is called with mu held.
func (f *Follower) removeLeft(run string) {
	var stay []leftover
	for _, left := range f.left[run] {
		if !f.removeFile(left.file) {
			stay = append(stay, left)
			continue
		}
		f.discount(left)
	}
	if f.left[run] = stay; stay == nil {
		delete(f.left, run)
	}
}

// removeFormer deletes the files of before once no run can own one. It is called with mu held.
func (f *Follower) removeFormer() {
	if f.former.owners == nil || len(f.former.owners) > 0 {
		return
	}
	for file := range f.former.sizes {
		if f.removeFile(file) {
			delete(f.former.sizes, file)
		}
	}
}

func (f *Follower) removeFile(file string) bool {
	err := os.Remove(filepath.Join(f.spool, file))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return true
	}
	f.log.Error(err, "A followed log stays in the spool", "file", file)
	return false
}

// count counts bytes in the spool.
func (f *Follower) count(of *share, n int64) {
	f.spooled.Add(n)
	of.spooled.Add(n)
}

// discount counts a file no longer. It is called with mu held.
func (f *Follower) discount(file leftover) {
	f.count(file.share, -file.size)
	if file.share.files--; file.share.files == 0 {
		delete(f.shares, file.namespace) // the namespace may be deleted
	}
}
