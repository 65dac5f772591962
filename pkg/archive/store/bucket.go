package store

import (
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

// Bucket is a store in an object store: S3, GCS or Azure, by the driver that opened the bucket. Which drivers a program has is
// up to what it imports; pkg/archive/store/cloud has them all.
type Bucket struct{ bucket *blob.Bucket }

// NewBucket makes a store of an open bucket, which Close closes. A bucket shared with others is narrowed by
// blob.PrefixedBucket before.
func NewBucket(bucket *blob.Bucket) *Bucket { return &Bucket{bucket} }

const contentType = "application/octet-stream"

// conflictPause is how long a write that met another under way waits before it looks who won.
const conflictPause = 100 * time.Millisecond

// Create implements Store.
func (b *Bucket) Create(ctx context.Context, key string, body io.Reader) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	// Where a driver learns only from its context that the body has failed, it stores what it has read of it.
	upload, cancel := context.WithCancel(ctx)
	defer cancel()
	source := &abortingReader{ctx: ctx, from: body, abort: cancel}
	// Upload, not NewWriter: the Azure driver's writer panics when it loses a race.
	err := b.bucket.Upload(upload, key, source, &blob.WriterOptions{IfNotExist: true, ContentType: contentType})
	if source.err != nil {
		err = source.err // what the driver makes of it says less
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", key, b.refused(ctx, key, err))
	}
	return nil
}

// refused finds out whether a failed creation failed because there is an object. S3 answers 409 while another conditional
// write is under way, which may yet fail itself, and so does not say.
func (b *Bucket) refused(ctx context.Context, key string, err error) error {
	if gcerrors.Code(err) == gcerrors.FailedPrecondition {
		return errors.Join(ErrExists, err)
	}
	if !strings.Contains(err.Error(), "ConditionalRequestConflict") {
		return err
	}
	for range 10 {
		select {
		case <-ctx.Done():
			return err
		case <-time.After(conflictPause):
		}
		if there, existsErr := b.bucket.Exists(ctx, key); there && existsErr == nil {
			return errors.Join(ErrExists, err)
		}
	}
	return err
}

// abortingReader calls abort when its source fails, and fails when its context has ended.
type abortingReader struct {
	ctx   context.Context //nolint:containedctx // it lives as long as the one call that made it
	from  io.Reader
	abort func()
	err   error
}

func (r *abortingReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if ended := r.ctx.Err(); ended != nil {
		err = ended
	}
	if err != nil && err != io.EOF {
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
		return nil, fmt.Errorf("open %s: %w", key, missing(err))
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
		return Info{}, fmt.Errorf("stat %s: %w", key, missing(err))
	}
	return Info{Key: key, Size: attributes.Size, Modified: attributes.ModTime}, nil
}

// List implements Store. What comes before the key after is listed and left out, as not every object store can begin in the
// middle: callers with many objects give a longer prefix.
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
	if err := b.bucket.Delete(ctx, key); err != nil && !errors.Is(missing(err), ErrNotExist) {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

// Close implements Store.
func (b *Bucket) Close() error { return b.bucket.Close() }

// missing tells a missing object from a missing bucket, which drivers report alike: an archive that has lost its bucket
// must not look empty.
func missing(err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound && !strings.Contains(err.Error(), "NoSuchBucket") && !strings.Contains(err.Error(), "ContainerNotFound") {
		return errors.Join(ErrNotExist, err)
	}
	return err
}
