// Package pack compresses runs and commits. They are JSON of which most is the same in all of them,
// and most of the rest are digests and UIDs. It stores those as bytes instead of hexadecimal
// digits, and compresses the rest with a dictionary.
package pack

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// dictionary has what runs and commits have in common, after Shorten. The program in dictionary/
// makes it.
//
//go:generate go run ./dictionary
//go:embed dictionary/runs.zdict
var dictionary []byte

// maxUnpacked bounds what damaged data can make a reader allocate. etcd takes no objects over 1.5
// MiB, and commits are smaller.
const maxUnpacked = 64 << 20

// magic begins each frame (RFC 8878, 3.1.1). It is not stored.
const magic = "\x28\xb5\x2f\xfd"

// ErrDamaged is the error of data that Pack did not produce.
var ErrDamaged = errors.New("packed data is damaged")

// The coders are made on first use, as each has megabytes of tables. At the fastest level the
// result is one percent larger than at the default level, which copies a quarter of a megabyte of
// tables for each text.
var (
	encoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderDict(dictionary), zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithWindowSize(1<<21))
		if err != nil {
			panic(err) // the dictionary is compiled in
		}
		return e
	})
	decoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderDicts(dictionary), zstd.WithDecoderMaxMemory(maxUnpacked),
			zstd.WithDecoderConcurrency(0))
		if err != nil {
			panic(err) // the dictionary is compiled in
		}
		return d
	})
)

// Pack compresses a text. The result is the length of the values that Shorten took out, the values,
// and a frame with the rest, which ends with a checksum of it. The known texts, at most a hundred,
// are not stored: Unpack needs the same ones.
func Pack(text []byte, known ...string) []byte {
	short, values := Shorten(text, known...)
	data := binary.AppendUvarint(make([]byte, 0, len(values)+len(short)/3+16), uint64(len(values)))
	data = append(data, values...)
	start := len(data)
	data = encoder().EncodeAll(short, data)
	return append(data[:start], data[start+len(magic):]...)
}

// Unpack is the reverse of Pack.
func Unpack(data []byte, known ...string) ([]byte, error) {
	n, length := binary.Uvarint(data)
	if length <= 0 || n > uint64(len(data)-length) { //nolint:gosec // Uvarint reads at most the data
		return nil, fmt.Errorf("%w: it is truncated", ErrDamaged)
	}
	data = data[length:]
	values, frame := data[:n], append([]byte(magic), data[n:]...)
	short, err := decoder().DecodeAll(frame, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return lengthen(short, values, known)
}
