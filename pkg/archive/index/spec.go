package index

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/indelible-ci/indelible/pkg/archive/index/pack"
)

// A run has a copy of the Task or Pipeline that it ran in its status, often half of the record, and the same in all runs of it.
// Such a copy is stored once, under its digest, for as long as a run refers to it.

// specMark stands in a record for the text that was taken out. JSON has no such byte.
const specMark = '\x05'

// minSpec is how long a copy must be, in bytes, to be worth a row of its own and the reference to it.
const minSpec = 256

// split takes the copy out of a record, or nothing where it finds none: the two together are the record again. head says where the copy is.
func split(record []byte, head *recordHead) (rest, spec []byte) {
	if bytes.IndexByte(record, specMark) >= 0 {
		return record, nil
	}
	for _, text := range [][]byte{head.taskSpec, head.pipelineSpec} {
		if len(text) < minSpec || text[0] != '{' {
			continue
		}
		at := cap(record) - cap(text) // it is a part of the record
		rest = append(append(append(make([]byte, 0, len(record)-len(text)+1), record[:at]...), specMark), record[at+len(text):]...)
		return rest, text
	}
	return record, nil
}

// joinSpec is the reverse of split.
func joinSpec(rest, spec []byte) ([]byte, error) {
	switch marks := bytes.Count(rest, []byte{specMark}); {
	case spec == nil:
		return rest, nil // a record with such a byte was left as it is
	case marks != 1:
		return nil, fmt.Errorf("%w: %d places for its spec", pack.ErrDamaged, marks)
	}
	return bytes.Replace(rest, []byte{specMark}, spec, 1), nil
}

// digestOf is what a spec is found by: 16 bytes of 32, as two specs of one installation never share them.
func digestOf(spec []byte) []byte {
	sum := sha256.Sum256(spec)
	return sum[:16]
}

// specCache keeps copies of Tasks and Pipelines unpacked: a page has few of them, many times.
type specCache struct {
	mu    sync.Mutex
	bytes int
	specs map[string][]byte
}

// maxSpecs bounds the cache, in bytes.
const maxSpecs = 8 << 20

func (c *specCache) get(digest, data []byte) ([]byte, error) {
	c.mu.Lock()
	spec := c.specs[string(digest)]
	c.mu.Unlock()
	if spec != nil {
		return spec, nil
	}
	spec, err := pack.Unpack(data)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bytes += len(spec); c.bytes > maxSpecs || c.specs == nil {
		c.specs, c.bytes = map[string][]byte{}, len(spec)
	}
	c.specs[string(digest)] = spec
	return spec, nil
}
