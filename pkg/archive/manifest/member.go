package manifest

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A part is stored as a sequence of members, each with up to memberBytes of the content, so that members can be found without unpacking
// them, and packed and unpacked on several cores. A member is two frames of Zstandard (RFC 8878): a skippable one (section 3.1.2), whose
// four bytes are the size of the whole member, low byte first, and one with the content, its size and a checksum of it. Every program that
// reads Zstandard takes the sequence for one stream. Against gzip, which the first archivers wrote (gzip.go), a log takes a sixth less, and a
// third of the time to unpack (BenchmarkMember).
const (
	memberBytes = 256 << 10
	// skippable is the magic number of a skippable frame that no other use is known of.
	skippable = 0x184D2A5D
	// memberHead is how long the first frame is: its magic number, its size, and what it holds.
	memberHead = 4 + 4 + 4
	// maxMember is what a member of incompressible content takes, with room to spare.
	maxMember = memberBytes + memberBytes/8 + 1024
	// headerSize is how much of a member tells its size, whichever kind it is. No member has less.
	headerSize = gzipHeaderSize
)

// packers pack members at one level. There are few encoders, for all that is archived at a time: each has megabytes of tables, and who finds none
// free waits.
type packers struct{ encoder func() *zstd.Encoder }

var (
	// fastPackers are for what has many members: a log of gigabytes, in which the better levels find little more, takes a tenth of their time.
	fastPackers = newPackers(zstd.SpeedFastest)
	// smallPackers are for what has one. The best level has tables of 34 MiB.
	smallPackers = newPackers(zstd.SpeedBetterCompression)
)

func newPackers(level zstd.EncoderLevel) *packers {
	return &packers{sync.OnceValue(func() *zstd.Encoder {
		z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(min(runtime.GOMAXPROCS(0), 4)),
			zstd.WithWindowSize(memberBytes), zstd.WithZeroFrames(true), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // the options are constants
		}
		return z
	})}
}

// member appends one member of a part to a slice.
func (p *packers) member(to, content []byte) []byte {
	start := len(to)
	to = binary.LittleEndian.AppendUint32(to, skippable)
	to = binary.LittleEndian.AppendUint32(to, 4)
	to = p.encoder().EncodeAll(content, append(to, 0, 0, 0, 0))
	binary.LittleEndian.PutUint32(to[start+8:], uint32(len(to)-start)) //nolint:gosec // G115: at most maxMember
	return to
}

// memberSize returns the size of the member that begins with a header, 0 if it is none of ours.
func memberSize(header []byte) int {
	if len(header) < headerSize || binary.LittleEndian.Uint32(header) != skippable || binary.LittleEndian.Uint32(header[4:]) != 4 {
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
