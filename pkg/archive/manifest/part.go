package manifest

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// level is the fastest: on a log it compresses nearly as well as the others, and the archiver shares its cores with a control plane.
const level = gzip.BestSpeed

// Store stores content under a key, compressed, in constant memory, and returns the sums of both as they were sent. That the
// store holds them is Verify's to say.
func Store(ctx context.Context, to store.Store, key string, content io.Reader) (raw, stored Sum, err error) {
	in, out := newSummer(), newSummer()
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := compress(writer, io.TeeReader(content, in))
		_ = writer.CloseWithError(err) // nil is EOF
		done <- err
	}()
	err = to.Create(ctx, key, io.TeeReader(reader, out))
	_ = reader.CloseWithError(errStopped) // ends compress where Create did not read to the end
	if compressing := <-done; compressing != nil && !errors.Is(compressing, errStopped) && err == nil {
		err = compressing
	}
	if err != nil {
		return Sum{}, Sum{}, fmt.Errorf("store part: %w", err)
	}
	return in.sum(), out.sum(), nil
}

var errStopped = errors.New("nobody reads on")

func compress(to io.Writer, from io.Reader) error {
	z, err := gzip.NewWriterLevel(to, level)
	if err != nil {
		return err
	}
	if _, err := io.Copy(z, from); err != nil {
		return err
	}
	return z.Close()
}

// ErrDamaged is the error of a commit that is none, and of a part whose object is not what the commit says.
var ErrDamaged = errors.New("the object is not what was archived")

// Verify reads a part back and compares it with what the commit says, both as stored and as it was. The error is
// ErrDamaged where it differs, store.ErrNotExist where there is nothing.
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
	if p.Content == nil || p.Stored == nil {
		return nil, fmt.Errorf("open part %s %s: %s: %s", p.Type, p.Container, p.State, p.Reason)
	}
	object, err := from.Open(ctx, p.Key)
	if err != nil {
		return nil, fmt.Errorf("open part: %w", err)
	}
	return &partReader{part: p, object: object, stored: newSummer(), content: newSummer()}, nil
}

// partReader unpacks and compares. The object is read once, through stored, which gzip reads from.
type partReader struct {
	part            *Part
	object          io.ReadCloser
	stored, content *summer
	raw             io.Reader
	unpacked        *gzip.Reader
}

func (r *partReader) Read(p []byte) (int, error) {
	if r.unpacked == nil {
		r.raw = io.TeeReader(r.object, r.stored)
		unpacked, err := gzip.NewReader(r.raw)
		if err != nil {
			return 0, r.damaged(err)
		}
		r.unpacked = unpacked
	}
	n, err := r.unpacked.Read(p)
	_, _ = r.content.Write(p[:n])
	switch {
	case errors.Is(err, io.EOF):
		return n, r.compare()
	case err != nil:
		return n, r.damaged(err)
	case r.content.n > r.part.Content.Bytes:
		return 0, r.damaged(fmt.Errorf("more than the %d bytes of its content", r.part.Content.Bytes))
	}
	return n, nil
}

// compare answers the end of the content. What follows gzip's end belongs to the object, too.
func (r *partReader) compare() error {
	if _, err := io.Copy(io.Discard, r.raw); err != nil {
		return r.damaged(err)
	}
	for what, sums := range map[string][2]Sum{"content": {r.content.sum(), *r.part.Content}, "stored": {r.stored.sum(), *r.part.Stored}} {
		if got, want := sums[0], sums[1]; got != want {
			return r.damaged(fmt.Errorf("%s is %d bytes with sha256 %s, want %d with %s", what, got.Bytes, got.SHA256, want.Bytes, want.SHA256))
		}
	}
	return io.EOF
}

// damaged also names errors of the store, which may pass: the caller cannot tell a connection that breaks from an object
// that ends, and reads again before it believes either.
func (r *partReader) damaged(err error) error {
	return fmt.Errorf("part %s: %w: %w", r.part.Key, ErrDamaged, err)
}

func (r *partReader) Close() error { return r.object.Close() }

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
