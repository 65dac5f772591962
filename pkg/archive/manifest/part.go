package manifest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Store compresses content and stores it under a key, in constant memory. It returns the sums of
// the content (without a digest) and of the object. They are zero if not all of it was sent. Use
// VerifyStored to check that the store has it, also after store.ErrExists: a client that retries
// after a lost response meets its own object. Store does not read content after it has returned.
func Store(ctx context.Context, to store.Store, key string, content io.Reader) (raw, stored Sum, err error) {
	first := blocks.Get().(*block)
	defer blocks.Put(first)
	err = first.fill(content)
	switch {
	case errors.Is(err, io.EOF):
		first.pack(smallPackers)
		raw, stored = Sum{Bytes: int64(len(first.in))}, sumOf(first.out)
		err = to.Create(ctx, key, bytes.NewReader(first.out))
	case err == nil:
		packing := newPackingReader(first, content)
		err = to.Create(ctx, key, packing)
		err = errors.Join(err, packing.close())
		raw, stored = Sum{Bytes: packing.raw}, packing.packed.sum()
		if !packing.ended {
			raw, stored = Sum{}, Sum{}
		}
	}
	if err != nil {
		return raw, stored, fmt.Errorf("store part: %w", err)
	}
	return raw, stored, nil
}

// fill reads the content of one member. It returns io.EOF if that is the last.
func (b *block) fill(from io.Reader) error {
	if cap(b.in) < memberBytes {
		b.in = make([]byte, memberBytes)
	}
	n, err := io.ReadFull(from, b.in[:memberBytes])
	b.in = b.in[:n]
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return err
}

// packingReader returns content as compressed members. A goroutine reads the content.
type packingReader struct {
	*pipeline
	packed *summer
	raw    int64
	// ended: all members have been read.
	ended bool
}

func newPackingReader(first *block, content io.Reader) *packingReader {
	r := &packingReader{pipeline: newPipeline(packBlock), packed: newSummer()}
	begin := &block{in: bytes.Clone(first.in)}
	r.produce(func() error {
		last := false
		for b := begin; r.put(b) && !last; {
			b = blocks.Get().(*block)
			err := b.fill(content)
			if last = errors.Is(err, io.EOF); err != nil && !last {
				return err
			}
			if len(b.in) == 0 {
				return nil
			}
		}
		return nil
	})
	return r
}

func (r *packingReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		b, err := r.next()
		if err != nil {
			return 0, err
		}
		if b == nil {
			r.ended = true
			return 0, io.EOF
		}
		r.raw += int64(len(b.in))
		r.rest = b.out
	}
	n := r.read(p)
	_, _ = r.packed.Write(p[:n])
	return n, nil
}

// close ends the goroutine and returns its error.
func (r *packingReader) close() error {
	r.pipeline.close()
	<-r.produced
	return r.failed
}

// ErrDamaged means that a commit cannot be decoded or is inconsistent, or a part's object is not
// what its commit says.
var ErrDamaged = errors.New("the object is not what was archived")

// ErrNoContent means that the part to open is missing, or the commit is bare and its content was in
// the commit.
var ErrNoContent = errors.New("the part has no content here")

// VerifyStored reads a part back and compares it with what was sent. It returns ErrDamaged if it
// differs, store.ErrNotExist if the object does not exist.
func VerifyStored(ctx context.Context, from store.Store, p *Part) error {
	object, err := from.Open(ctx, p.Key)
	if err != nil {
		return fmt.Errorf("open part: %w", err)
	}
	stored := newSummer()
	_, err = io.Copy(stored, object)
	if err = errors.Join(err, object.Close()); err != nil {
		return fmt.Errorf("read part %s: %w", p.Key, err)
	}
	return p.compare("stored", stored.sum(), *p.Stored)
}

// Verify reads and decompresses a part, and compares it with the commit. Errors are those of
// VerifyStored.
func Verify(ctx context.Context, from store.Store, p *Part) error {
	if p.State == Missing {
		return nil
	}
	content, err := Open(ctx, from, p)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, content)
	return errors.Join(err, content.Close())
}

// Open returns the content of a part. The content is compared while it is read: only a reader that
// reaches io.EOF knows that it is what was archived.
func Open(ctx context.Context, from store.Store, p *Part) (io.ReadCloser, error) {
	if p.isEmbedded() {
		return io.NopCloser(bytes.NewReader(p.embedded())), nil
	}
	if p.Content == nil || p.Stored == nil {
		return nil, fmt.Errorf("open part %s %s: %w: %s %s", p.Type, p.Container, ErrNoContent, p.State, p.Reason)
	}
	object, err := from.Open(ctx, p.Key)
	if err != nil {
		return nil, fmt.Errorf("open part: %w", err)
	}
	return newUnpackingReader(p, object), nil
}

// unpackingReader returns the content of compressed members. A goroutine reads the object once and
// compares its sum at the end.
type unpackingReader struct {
	*pipeline
	part   *Part
	object io.ReadCloser
	n      int64
}

func newUnpackingReader(p *Part, object io.ReadCloser) *unpackingReader {
	r := &unpackingReader{pipeline: newPipeline(unpackBlock), part: p, object: object}
	r.produce(r.members)
	return r
}

// members reads the object's members and compares the object's sum at the end.
func (r *unpackingReader) members() error {
	stored := newSummer()
	from := bufio.NewReaderSize(io.TeeReader(r.object, stored), 128<<10)
	for {
		header, err := from.Peek(headerSize)
		if len(header) == 0 && errors.Is(err, io.EOF) {
			return r.part.compare("stored", stored.sum(), *r.part.Stored)
		}
		size := memberSize(header)
		if size == 0 {
			// The object may be damaged, or the connection was cut.
			return r.part.damaged(errors.Join(err, errors.New("not a member of an archived part")))
		}
		b := blocks.Get().(*block)
		if cap(b.in) < size {
			b.in = make([]byte, maxMember)
		}
		b.in = b.in[:size]
		if _, err := io.ReadFull(from, b.in); err != nil {
			return r.part.damaged(err)
		}
		if !r.put(b) {
			return nil
		}
	}
}

func (r *unpackingReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		b, err := r.next()
		if err != nil {
			return 0, err
		}
		if b == nil {
			if err := r.part.compare("content", Sum{Bytes: r.n}, Sum{Bytes: r.part.Content.Bytes}); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
		if b.err != nil {
			return 0, r.part.damaged(b.err)
		}
		r.rest = b.out
	}
	n := r.read(p)
	r.n += int64(n)
	if r.n > r.part.Content.Bytes {
		return 0, r.part.damaged(fmt.Errorf("more than the %d bytes of its content", r.part.Content.Bytes))
	}
	return n, nil
}

func (r *unpackingReader) Close() error {
	r.close()
	err := r.object.Close() // also ends a blocked read
	<-r.produced
	return err
}

func (p *Part) compare(what string, got, want Sum) error {
	if got != want {
		return p.damaged(fmt.Errorf("%s is %d bytes with sha256 %s, want %d with %s", what, got.Bytes, got.SHA256,
			want.Bytes, want.SHA256))
	}
	return nil
}

// damaged returns ErrDamaged, also for errors of the store, which may be temporary: a cut
// connection looks like an object that ends too early. Callers read again before they report
// damage.
func (p *Part) damaged(err error) error {
	return fmt.Errorf("part %s: %w: %w", p.Key, ErrDamaged, err)
}

// summer counts and hashes what is written to it.
type summer struct {
	hash hash.Hash
	n    int64
}

func newSummer() *summer { return &summer{hash: sha256.New()} }

func (s *summer) Write(p []byte) (int, error) {
	s.n += int64(len(p))
	return s.hash.Write(p)
}

func (s *summer) sum() Sum { return Sum{Bytes: s.n, SHA256: hex.EncodeToString(s.hash.Sum(nil))} }

func sumOf(data []byte) Sum {
	digest := sha256.Sum256(data)
	return Sum{Bytes: int64(len(data)), SHA256: hex.EncodeToString(digest[:])}
}
