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

// Store stores content under a key, compressed, in constant memory, and returns its size and the sum of what was sent, empty if not all
// of it was. That the store holds it is VerifyStored's to say. With store.ErrExists that may be so, too: a store whose answer was
// lost tries again, and meets what it has stored. content is not read any more when Store has returned.
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

// fill reads the input of a member; io.EOF says that it is the last.
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

// packingReader gives content as members. A goroutine of its own reads the content.
type packingReader struct {
	*pipeline
	packed *summer
	raw    int64
	// ended says that all has been given.
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

// close ends the goroutine, and returns why content could not be read.
func (r *packingReader) close() error {
	r.pipeline.close()
	<-r.produced
	return r.failed
}

// ErrDamaged is the error of a commit that is none, and of a part whose object is not what the commit says.
var ErrDamaged = errors.New("the object is not what was archived")

// ErrNoContent is the error of opening a part that is missing, or whose content is in a commit that is bare.
var ErrNoContent = errors.New("the part has no content here")

// VerifyStored reads a part back and compares it with what was sent. The error is ErrDamaged where it differs, store.ErrNotExist
// where there is nothing.
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

// Verify reads a part as its users do, and compares all that the commit says of it. Errors are VerifyStored's.
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

// Open returns the content of a part. It is compared while it is read: a reader that reaches the end without an error has
// what was archived, and one that stops before does not know.
func Open(ctx context.Context, from store.Store, p *Part) (io.ReadCloser, error) {
	if p.isHere() {
		return io.NopCloser(bytes.NewReader(p.here())), nil
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

// unpackingReader gives the content of members. A goroutine of its own reads the object, once, and compares it at its end.
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

// members puts the object's members, and compares the whole when it has ended.
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
			// What is no member makes the sum another one, but who broke it off may be the connection.
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
	err := r.object.Close() // ends a read that waits
	<-r.produced
	return err
}

func (p *Part) compare(what string, got, want Sum) error {
	if got != want {
		return p.damaged(fmt.Errorf("%s is %d bytes with sha256 %s, want %d with %s", what, got.Bytes, got.SHA256, want.Bytes, want.SHA256))
	}
	return nil
}

// damaged also names errors of the store, which may pass: the caller cannot tell a connection that breaks from an object
// that ends, and reads again before it believes either.
func (p *Part) damaged(err error) error {
	return fmt.Errorf("part %s: %w: %w", p.Key, ErrDamaged, err)
}

// summer counts and digests what is written to it.
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
