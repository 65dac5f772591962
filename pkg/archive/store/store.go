// Package store keeps the bytes of the archive: immutable objects under keys, in a local directory
// or an object store. Both pass the same tests (storetest).
//
// It knows nothing of runs. What keys there are is up to pkg/archive/layout, what is in them to
// pkg/archive; digests are computed and compared there, so that no driver can vouch for itself.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

// Errors that callers act upon. Every other error may pass: nothing is known of the object then,
// and the same call may be made again.
var (
	// ErrExists is the answer to Create of a key that has an object, also one that an earlier call
	// of the same writer stored without living to hear of it.
	ErrExists = errors.New("the object exists already")
	// ErrNotExist is the answer to Open and Stat of a key without an object.
	ErrNotExist = errors.New("there is no such object")
)

// Store is a place for objects. All methods may be called concurrently, also by several processes
// with stores of their own on the same place.
type Store interface {
	// Create stores what body holds under key. With a nil error the object is whole and durable: it
	// outlives the machine losing power at once. If there is an object under key, it stays as it is
	// and the error is ErrExists: of several writers exactly one wins. If body fails or ctx ends
	// while it is read, there is no object that List or Open shows. After any other error there is
	// none or the whole, as an answer may be lost. body is read once, in constant memory, and need
	// not be read to its end if there is an object already.
	Create(ctx context.Context, key string, body io.Reader) error
	// Open returns the content of an object from its first byte, or ErrNotExist.
	Open(ctx context.Context, key string) (io.ReadCloser, error)
	// Stat describes an object, or returns ErrNotExist.
	Stat(ctx context.Context, key string) (Info, error)
	// List yields the objects whose keys begin with prefix and come after the key after ("" for
	// all), in byte order of their keys. An object stored before the call is yielded, one stored or
	// deleted meanwhile may be. An error ends it, and is the last that is yielded.
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]
	// Delete removes an object. That there is none is no error.
	Delete(ctx context.Context, key string) error
	// Close releases what the store holds. Objects stay.
	Close() error
}

// Info describes an object.
type Info struct {
	Key string
	// Size is in bytes.
	Size int64
	// Modified is when it was stored, by the clock of the store.
	Modified time.Time
}

const (
	maxKey     = 900 // S3 allows 1,024 bytes, and a prefix may come before
	maxSegment = 200 // file systems allow 255 bytes a name
)

// CheckKey says what is wrong with a key. Every store takes the same: segments of letters, digits
// and ._=- between slashes, none beginning with a dot. So a key never leaves a directory, means the
// same in a URL, and does not depend on how a file system treats letters it does not know.
func CheckKey(key string) error {
	if len(key) > maxKey {
		return fmt.Errorf("key of %d bytes: at most %d are allowed", len(key), maxKey)
	}
	for segment := range strings.SplitSeq(key, "/") {
		switch {
		case segment == "":
			return fmt.Errorf("key %q has an empty segment", key)
		case segment[0] == '.':
			return fmt.Errorf("key %q has a segment that begins with a dot", key)
		case len(segment) > maxSegment:
			return fmt.Errorf("key %q has a segment of %d bytes: at most %d are allowed", key, len(segment), maxSegment)
		case strings.ContainsFunc(segment, notInKeys):
			return fmt.Errorf("key %q has a character other than letters, digits and ._=-", key)
		}
	}
	return nil
}

func notInKeys(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._=-", r)
}
