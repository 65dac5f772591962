// Package store keeps the bytes of the archive: immutable objects under keys.
//
//	store.go      Store, the contract; all stores pass storetest
//	bucket.go     Bucket: S3, GCS and Azure
//	directory.go  Directory: a local or network file system; folders.go and walk.go are parts of it
//	cloud         opens a store by URL; to add one see cloud/backends.go
//
// It knows nothing about runs: keys are made by pkg/archive/layout and contents by
// pkg/archive/manifest, which also computes and compares digests, so that no driver vouches for
// itself.
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

// Any other error may be temporary: the state of the object is unknown, and the call may be
// repeated.
var (
	// ErrExists: Create found an object under the key. It may be from an earlier call of the same
	// writer whose response was lost.
	ErrExists = errors.New("the object exists already")
	// ErrNotExist: Open or Stat found no object under the key.
	ErrNotExist = errors.New("there is no such object")
)

// Store is a place for objects. All methods may be called concurrently, also by several processes
// on the same place.
type Store interface {
	// Create stores body under key. If the error is nil, the object is complete and durable, even
	// if the machine loses power immediately. If the key has an object, that stays and the error is
	// ErrExists: of several writers exactly one succeeds. If body fails, or ctx ends while it is
	// read, no object becomes visible. After any other error there is either no object or the
	// complete one, because the response may have been lost. body is read once, in constant memory,
	// and not necessarily to its end if the object exists.
	Create(ctx context.Context, key string, body io.Reader) error
	// Open returns the content of an object, or ErrNotExist.
	Open(ctx context.Context, key string) (io.ReadCloser, error)
	// Stat returns an object's Info, or ErrNotExist.
	Stat(ctx context.Context, key string) (Info, error)
	// List yields the objects whose keys begin with prefix and sort after the key after ("": all),
	// in byte order. Objects stored before the call are yielded; those stored or deleted during it
	// may be. An error is the last item.
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]
	// Delete deletes an object. It is no error if there is none.
	Delete(ctx context.Context, key string) error
	// Close closes the store. Objects stay.
	Close() error
}

// Info describes an object.
type Info struct {
	Key string
	// Size is in bytes.
	Size int64
	// Modified is the time at which it was stored, by the store's clock.
	Modified time.Time
}

const (
	maxKey     = 900 // S3 allows 1,024 bytes, including a prefix
	maxSegment = 200 // file systems allow 255 bytes a name
)

// CheckKey returns an error if a key is invalid. All stores accept the same keys: segments of
// letters, digits and ._=-, separated by slashes, not beginning with a dot. So a key cannot leave a
// directory, needs no escaping in URLs, and does not depend on a file system's treatment of other
// characters.
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
