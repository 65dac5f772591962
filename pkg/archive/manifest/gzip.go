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

// A part is stored as a sequence of gzip members (RFC 1952, section 2.2), which every gunzip takes for one stream. Each holds up to
// memberBytes of the content, and its header has an extra field (section 2.3.1.1) "IN" with the size of the whole member, 4
// bytes, low byte first. So members can be found without unpacking them, and packed and unpacked on several cores.
const (
	memberBytes = 256 << 10
	// extraAt is where the extra field's data begins: after the fixed header, the field's length and the subfield's head.
	extraAt    = 10 + 2 + 4
	headerSize = extraAt + 4
	// maxMember is what a member of incompressible content takes, with room to spare.
	maxMember = memberBytes + memberBytes/8 + 1024
	// fast is for what has many members: a log of gigabytes, in which the better levels find little more, takes a tenth of their time.
	fast = gzip.BestSpeed
	// small is for what has one member, as commits and most logs: a hundred thousand of them are what a bucket consists of.
	small = gzip.BestCompression
)

var extra = []byte{'I', 'N', 4, 0, 0, 0, 0, 0}

// packers are writers of one level, for one member after the other.
type packers struct{ sync.Pool }

var fastPackers, smallPackers = newPackers(fast), newPackers(small)

func newPackers(level int) *packers {
	return &packers{sync.Pool{New: func() any {
		z, err := gzip.NewWriterLevel(nil, level)
		if err != nil {
			panic(err) // the level is a constant
		}
		return z
	}}}
}

// member appends one member of a part to a buffer.
func (p *packers) member(to *bytes.Buffer, content []byte) {
	start := to.Len()
	p.pack(to, content, extra)
	member := to.Bytes()[start:]
	binary.LittleEndian.PutUint32(member[extraAt:], uint32(len(member))) //nolint:gosec // G115: at most maxMember
}

func (p *packers) pack(to *bytes.Buffer, content, extra []byte) {
	z := p.Get().(*gzip.Writer)
	defer p.Put(z)
	z.Reset(to)
	z.Extra = extra
	_, _ = z.Write(content) // a buffer takes everything
	_ = z.Close()
}

// pack returns content of whatever size in gzip, without what members of parts have beside it.
func pack(content []byte) []byte {
	var packed bytes.Buffer
	smallPackers.pack(&packed, content, nil)
	return packed.Bytes()
}

var unpackers = sync.Pool{New: func() any { return new(gzip.Reader) }}

// unpack is the reverse of pack, for content of at most limit bytes.
func unpack(packed []byte, limit int64) ([]byte, error) {
	content, err := appendUnpacked(nil, packed, limit)
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return content, nil
}

// appendUnpacked appends the content of one member, or of several in a row, to a slice.
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

// atEnd tells a reader that there is less than there should be: io.EOF is for content that is complete.
func atEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// memberSize returns the size that a member's header gives, 0 if the header is not one of ours.
func memberSize(header []byte) int {
	if len(header) < headerSize || header[0] != 0x1f || header[1] != 0x8b || header[3] != 4 || !bytes.Equal(header[10:extraAt], append([]byte{8, 0}, extra[:4]...)) {
		return 0
	}
	size := int(binary.LittleEndian.Uint32(header[extraAt:]))
	if size <= headerSize || size > maxMember {
		return 0
	}
	return size
}
