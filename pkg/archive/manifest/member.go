package manifest

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A part is stored as a sequence of members, each with up to memberBytes of content. Members can be
// found without decompressing them, so several cores can work on one part. A member is two frames
// of Zstandard (RFC 8878): a skippable frame (section 3.1.2), which has the size of the whole
// member (4 bytes, little-endian), and a frame with the content, its size and checksum. Any
// Zstandard decoder reads the sequence as one stream. Compared with gzip, which the first archivers
// wrote (gzip.go), a log is a sixth smaller and decompresses in a third of the time
// (BenchmarkMember).
const (
	memberBytes = 256 << 10
	// skippable is the magic number of a skippable frame, one that has no other known use.
	skippable = 0x184D2A5D
	// memberHead is the length of the first frame: magic number, frame size, member size.
	memberHead = 4 + 4 + 4
	// maxMember bounds a member, generously: incompressible content is larger than memberBytes.
	maxMember = memberBytes + memberBytes/8 + 1024
	// headerSize is the number of bytes that tell a member's size, for both formats. No member is
	// shorter.
	headerSize = gzipHeaderSize
)

// packers compress members at one level. All archiving shares a few encoders, because each has
// megabytes of tables; if all are in use, callers wait.
type packers struct{ encoder func() *zstd.Encoder }

var (
	// fastPackers are for parts of many members, such as logs of gigabytes: they take a tenth of
	// the time of the better levels, which save little more.
	fastPackers = newPackers(zstd.SpeedFastest)
	// smallPackers are for parts of one member. The best level would have tables of 34 MiB.
	smallPackers = newPackers(zstd.SpeedBetterCompression)
)

func newPackers(level zstd.EncoderLevel) *packers {
	return &packers{sync.OnceValue(func() *zstd.Encoder {
		z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level),
			zstd.WithEncoderConcurrency(min(runtime.GOMAXPROCS(0), 4)),
			zstd.WithWindowSize(memberBytes), zstd.WithZeroFrames(true), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // the options are constants
		}
		return z
	})}
}

// member compresses content to one member, and appends it to a slice.
func (p *packers) member(to, content []byte) []byte {
	start := len(to)
	to = binary.LittleEndian.AppendUint32(to, skippable)
	to = binary.LittleEndian.AppendUint32(to, 4)
	to = p.encoder().EncodeAll(content, append(to, 0, 0, 0, 0))
	binary.LittleEndian.PutUint32(to[start+8:], uint32(len(to)-start)) //nolint:gosec // G115: at most maxMember
	return to
}

// memberSize returns the size of the member that begins with header, 0 if header does not begin a
// member.
func memberSize(header []byte) int {
	if len(header) < headerSize || binary.LittleEndian.Uint32(header) != skippable ||
		binary.LittleEndian.Uint32(header[4:]) != 4 {
		return gzipMemberSize(header)
	}
	size := int(binary.LittleEndian.Uint32(header[8:]))
	if size < headerSize || size > maxMember {
		return 0
	}
	return size
}

var memberReaders = sync.Pool{New: func() any {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(memberBytes))
	if err != nil {
		panic(err) // the options are constants
	}
	return z
}}

// appendMember appends the content of a member to a slice.
func appendMember(to, member []byte) ([]byte, error) {
	if bytes.HasPrefix(member, gzipMagic) {
		return appendUnpacked(to, member, memberBytes)
	}
	z := memberReaders.Get().(*zstd.Decoder)
	defer memberReaders.Put(z)
	return z.DecodeAll(member[memberHead:], to)
}
