package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// Bucket is a store in an object store, with the driver that opened the bucket.
// pkg/archive/store/cloud has all drivers.
type Bucket struct {
	bucket *blob.Bucket
	before func(as func(any) bool) error
}

// NewBucket returns a store in an open bucket, which Close closes. For a shared bucket use
// blob.PrefixedBucket. before, if not nil, is called at each upload to set what only one driver
// knows (blob.WriterOptions.BeforeWrite).
func NewBucket(bucket *blob.Bucket, before func(as func(any) bool) error) *Bucket {
	return &Bucket{bucket, before}
}

const (
	contentType = "application/octet-stream"
	// conflictDelay is the delay between checks for an object that another write is creating.
	conflictDelay = 100 * time.Millisecond
	// PartSize is the size of the parts of a larger upload, the smallest that S3 accepts. S3's
	// 10,000 parts allow objects of 48 GiB.
	PartSize = 5 << 20
	// smallSize is the size up to which an object is sent from a buffer smaller than a part. The
	// GCS driver allocates its buffer at once, and no smaller one.
	smallSize = 256 << 10
	// Concurrency is the number of parts of an upload that are sent concurrently: one is sent while
	// the next is read. Throughput comes from many uploads, not from many parts.
	Concurrency = 2
)

// Create implements Store.
func (b *Bucket) Create(ctx context.Context, key string, body io.Reader) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	// Some drivers notice a failed body only if their context ends, and otherwise store what they
	// have read.
	upload, cancel := context.WithCancel(ctx)
	defer cancel()
	source := &abortingReader{ctx: ctx, from: body, abort: cancel}
	content, size := buffered(source)
	if source.err != nil {
		return fmt.Errorf("create %s: %w", key, source.err)
	}
	// Upload, not NewWriter: the Azure driver's writer panics when it loses a race.
	err := b.bucket.Upload(upload, key, content, &blob.WriterOptions{
		IfNotExist: true, ContentType: contentType, BufferSize: size, MaxConcurrency: Concurrency,
		BeforeWrite: b.before,
	})
	if source.err != nil {
		err = source.err // the driver's error says less
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", key, b.refused(ctx, key, err))
	}
	return nil
}

// buffered reads the beginning of a body. It returns the whole body, and the buffer size for
// sending it.
func buffered(body io.Reader) (io.Reader, int) {
	beginning, err := io.ReadAll(io.LimitReader(body, smallSize))
	if err == nil && len(beginning) < smallSize {
		return bytes.NewReader(beginning), smallSize
	}
	return io.MultiReader(bytes.NewReader(beginning), body), PartSize
}

// refused returns ErrExists if a Create failed because the object exists, else err. 409: another
// write is in flight and may still fail. 412 is verified as well: callers rely on an object that
// exists.
func (b *Bucket) refused(ctx context.Context, key string, err error) error {
	checks := 0
	switch {
	case gcerrors.Code(err) == gcerrors.FailedPrecondition:
		checks = 1
	case strings.Contains(err.Error(), "ConditionalRequestConflict"):
		checks = 10
	}
	for check := range checks {
		if check > 0 {
			select {
			case <-ctx.Done():
				return err
			case <-time.After(conflictDelay):
			}
		}
		if exists, existsErr := b.bucket.Exists(ctx, key); exists && existsErr == nil {
			return errors.Join(ErrExists, err)
		}
	}
	return err
}

// abortingReader calls abort when its source fails, and fails when its context ends.
type abortingReader struct {
	ctx   context.Context //nolint:containedctx // it is used for one call
	from  io.Reader
	abort func()
	err   error
}

func (r *abortingReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if ended := r.ctx.Err(); ended != nil {
		err = ended
	}
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
		r.abort()
	}
	return n, err
}

// Open implements Store.
func (b *Bucket) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	object, err := b.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", key, b.missing(ctx, key, err))
	}
	return object, nil
}

// Stat implements Store.
func (b *Bucket) Stat(ctx context.Context, key string) (Info, error) {
	if err := CheckKey(key); err != nil {
		return Info{}, err
	}
	attributes, err := b.bucket.Attributes(ctx, key)
	if err != nil {
		return Info{}, fmt.Errorf("stat %s: %w", key, b.missing(ctx, key, err))
	}
	return Info{Key: key, Size: attributes.Size, Modified: attributes.ModTime}, nil
}

// List implements Store. Keys up to after are listed and skipped, as not every object store can
// start in the middle: callers with many objects use a longer prefix.
func (b *Bucket) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		objects := b.bucket.List(&blob.ListOptions{Prefix: prefix})
		for {
			object, err := objects.Next(ctx)
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(Info{}, fmt.Errorf("list %s: %w", prefix, err))
				return
			case object.Key <= after || CheckKey(object.Key) != nil:
				continue
			}
			if !yield(Info{Key: object.Key, Size: object.Size, Modified: object.ModTime}, nil) {
				return
			}
		}
	}
}

// Delete implements Store.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	err := b.bucket.Delete(ctx, key)
	if err == nil {
		return nil
	}
	if err = b.missing(ctx, key, err); errors.Is(err, ErrNotExist) {
		return nil
	}
	return fmt.Errorf("delete %s: %w", key, err)
}

// Close implements Store.
func (b *Bucket) Close() error { return b.bucket.Close() }

// missingObject has the messages of S3, Azure and GCS that mean a missing object, and nothing else.
var missingObject = []string{"NoSuchKey", "BlobNotFound", "No such object:"}

// missing turns a driver's error about a missing object into ErrNotExist. Drivers report a missing
// bucket, a bucket in another region and an unknown account the same way; only an existing bucket
// can be listed. An archive that has lost its bucket must not look empty.
func (b *Bucket) missing(ctx context.Context, key string, err error) error {
	if gcerrors.Code(err) != gcerrors.NotFound {
		return err
	}
	for _, text := range missingObject {
		if strings.Contains(err.Error(), text) {
			return errors.Join(ErrNotExist, err)
		}
	}
	if _, _, listErr := b.bucket.ListPage(ctx, blob.FirstPageToken, 1, &blob.ListOptions{Prefix: key}); listErr != nil {
		return errors.Join(err, listErr)
	}
	return errors.Join(ErrNotExist, err)
}
