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

// Bucket is a store in an object store: S3, GCS or Azure, by the driver that opened the bucket.
// Which drivers a program has is up to what it imports; pkg/archive/store/cloud has them all.
type Bucket struct {
	bucket *blob.Bucket
	before func(as func(any) bool) error
}

// NewBucket makes a store of an open bucket, which Close closes. A bucket shared with others is
// narrowed by blob.PrefixedBucket before. The function before, if any, sets what only one driver
// knows at each upload (see blob.WriterOptions.BeforeWrite).
func NewBucket(bucket *blob.Bucket, before func(as func(any) bool) error) *Bucket {
	return &Bucket{bucket, before}
}

const (
	contentType = "application/octet-stream"
	// conflictPause is how long a write that met another under way waits before it looks who won.
	conflictPause = 100 * time.Millisecond
	// PartSize is in what pieces larger objects are sent: the least that S3 takes. It allows
	// objects of 48 GiB, as S3 takes 10,000 of them.
	PartSize = 5 << 20
	// smallSize is up to where an object needs no buffer of a part. The GCS driver takes its buffer
	// at once, and takes no smaller one.
	smallSize = 256 << 10
	// Concurrency is how many pieces of one object are sent at a time: one on its way while the
	// next is made. Many objects at a time make a pace, not many pieces of one.
	Concurrency = 2
)

// Create implements Store.
func (b *Bucket) Create(ctx context.Context, key string, body io.Reader) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	// Where a driver learns only from its context that the body has failed, it stores what it has
	// read of it.
	upload, cancel := context.WithCancel(ctx)
	defer cancel()
	source := &abortingReader{ctx: ctx, from: body, abort: cancel}
	content, size := buffered(source)
	if source.err != nil {
		return fmt.Errorf("create %s: %w", key, source.err)
	}
	// Upload, not NewWriter: the Azure driver's writer panics when it loses a race.
	err := b.bucket.Upload(upload, key, content, &blob.WriterOptions{
		IfNotExist: true, ContentType: contentType, BufferSize: size, MaxConcurrency: Concurrency, BeforeWrite: b.before,
	})
	if source.err != nil {
		err = source.err // what the driver makes of it says less
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", key, b.refused(ctx, key, err))
	}
	return nil
}

// buffered reads the beginning of a body, and returns the whole and the buffer that it takes to
// send it.
func buffered(body io.Reader) (io.Reader, int) {
	beginning, err := io.ReadAll(io.LimitReader(body, smallSize))
	if err == nil && len(beginning) < smallSize {
		return bytes.NewReader(beginning), smallSize
	}
	return io.MultiReader(bytes.NewReader(beginning), body), PartSize
}

// refused finds out whether a failed creation failed because there is an object. S3 answers 409
// while another conditional write is under way, which may yet fail itself, and so does not say. Nor
// is 412 believed unseen: whoever hears of an object goes on with it.
func (b *Bucket) refused(ctx context.Context, key string, err error) error {
	looks := 0
	switch {
	case gcerrors.Code(err) == gcerrors.FailedPrecondition:
		looks = 1
	case strings.Contains(err.Error(), "ConditionalRequestConflict"):
		looks = 10
	}
	for look := range looks {
		if look > 0 {
			select {
			case <-ctx.Done():
				return err
			case <-time.After(conflictPause):
			}
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

// List implements Store. What comes before the key after is listed and left out, as not every
// object store can begin in the middle: callers with many objects give a longer prefix.
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

// surely is what object stores say of a missing object, and of nothing else: S3, Azure, GCS.
var surely = []string{"NoSuchKey", "BlobNotFound", "No such object:"}

// missing makes ErrNotExist of what a driver says of a missing object. Drivers say the same of a
// missing bucket, one in another region, and an account that the name server does not know; but
// only an archive that is there can be listed. One that has lost its bucket must not look empty.
func (b *Bucket) missing(ctx context.Context, key string, err error) error {
	if gcerrors.Code(err) != gcerrors.NotFound {
		return err
	}
	for _, text := range surely {
		if strings.Contains(err.Error(), text) {
			return errors.Join(ErrNotExist, err)
		}
	}
	if _, _, listErr := b.bucket.ListPage(ctx, blob.FirstPageToken, 1, &blob.ListOptions{Prefix: key}); listErr != nil {
		return errors.Join(err, listErr)
	}
	return errors.Join(ErrNotExist, err)
}
