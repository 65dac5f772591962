package index

import (
	_ "embed"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// dictionary has what runs and commits have in common, so that a record of 5 KB is stored in about one. See the program in dictionary/.
//
//go:generate go run ./dictionary
//go:embed dictionary/runs.zdict
var dictionary []byte

// maxUnpacked bounds what a damaged row can make a reader allocate. etcd takes no objects over 1.5 MiB, and commits are smaller.
const maxUnpacked = 64 << 20

// The coders are made when the first row is packed: each has a few megabytes of tables.
var (
	encoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderDict(dictionary), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<21))
		if err != nil {
			panic(err) // the dictionary is compiled in
		}
		return e
	})
	decoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderDicts(dictionary), zstd.WithDecoderMaxMemory(maxUnpacked), zstd.WithDecoderConcurrency(0))
		if err != nil {
			panic(err) // the dictionary is compiled in
		}
		return d
	})
)

// pack compresses JSON. Its frame ends with a checksum.
func pack(text []byte) []byte { return encoder().EncodeAll(text, nil) }

func unpack(data []byte) ([]byte, error) {
	text, err := decoder().DecodeAll(data, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return text, nil
}
