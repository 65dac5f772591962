package manifest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// Commits are gzip, which common tools can read. So are parts that the first archivers wrote: a
// sequence of members (RFC 1952, section 2.2), each with up to memberBytes of content. An extra
// field "IN" (section 2.3.1.1) in a member's header has the size of the whole member: 4 bytes,
// little-endian.
const (
	// extraAt is the offset of the extra field's data: after the fixed header, the field's length
	// and the subfield's header.
	extraAt        = 10 + 2 + 4
	gzipHeaderSize = extraAt + 4
)

var (
	gzipMagic = []byte{0x1f, 0x8b}
	gzipExtra = []byte{'I', 'N', 4, 0}
)

var commitPackers = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(nil, gzip.BestCompression) // a bucket has hundreds of thousands of commits
	if err != nil {
		panic(err) // the level is a constant
	}
	return z
}}

// pack compresses content of any size with gzip.
func pack(content []byte) []byte {
	var packed bytes.Buffer
	z := commitPackers.Get().(*gzip.Writer)
	defer commitPackers.Put(z)
	z.Reset(&packed)
	_, _ = z.Write(content) // a buffer takes everything
	_ = z.Close()
	return packed.Bytes()
}

var unpackers = sync.Pool{New: func() any { return new(gzip.Reader) }}

// unpack is the reverse of pack. Content of more than limit bytes is an error.
func unpack(packed []byte, limit int64) ([]byte, error) {
	content, err := appendUnpacked(nil, packed, limit)
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return content, nil
}

// appendUnpacked appends the content of one or more gzip members to a slice.
func appendUnpacked(to, packed []byte, limit int64) ([]byte, error) {
	z := unpackers.Get().(*gzip.Reader)
	defer unpackers.Put(z)
	if err := z.Reset(bytes.NewReader(packed)); err != nil {
		return nil, atEnd(err)
	}
	content := bytes.NewBuffer(to)
	n, err := io.Copy(content, io.LimitReader(z, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return content.Bytes(), err
}

// atEnd replaces io.EOF, which would mean that the content is complete.
func atEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// gzipMemberSize returns the size that a member's header gives, 0 if the header is not of a part.
func gzipMemberSize(header []byte) int {
	if len(header) < gzipHeaderSize || !bytes.HasPrefix(header, gzipMagic) || header[3] != 4 ||
		!bytes.Equal(header[10:extraAt], append([]byte{8, 0}, gzipExtra...)) {
		return 0
	}
	size := int(binary.LittleEndian.Uint32(header[extraAt:]))
	if size <= gzipHeaderSize || size > maxMember {
		return 0
	}
	return size
}
