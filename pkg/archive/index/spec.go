package index

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/indelible-ci/indelible/pkg/archive/index/pack"
)

// A run's status has a copy of the Task or Pipeline that it ran: often half of the record, and the
// same for all its runs. Such a spec is stored once, by its digest, as long as a run refers to it.

// specMark replaces the spec in a record. JSON cannot contain this byte.
const specMark = '\x05'

// minSpec is the size, in bytes, from which a spec is worth a row of its own.
const minSpec = 256

// split takes the spec out of a record; spec is nil if there is none. joinSpec reverses it. head
// says where the spec is.
func split(record []byte, head *recordHead) (rest, spec []byte) {
	if bytes.IndexByte(record, specMark) >= 0 {
		return record, nil
	}
	for _, text := range [][]byte{head.taskSpec, head.pipelineSpec} {
		if len(text) < minSpec || text[0] != '{' {
			continue
		}
		at := cap(record) - cap(text) // text is a subslice of record
		rest = append(append(append(make([]byte, 0, len(record)-len(text)+1), record[:at]...), specMark),
			record[at+len(text):]...)
		return rest, text
	}
	return record, nil
}

// joinSpec is the reverse of split.
func joinSpec(rest, spec []byte) ([]byte, error) {
	switch marks := bytes.Count(rest, []byte{specMark}); {
	case spec == nil:
		return rest, nil // a record that contains the mark was not split
	case marks != 1:
		return nil, fmt.Errorf("%w: %d marks for its spec", pack.ErrDamaged, marks)
	}
	return bytes.Replace(rest, []byte{specMark}, spec, 1), nil
}

// digestOf is the key of a spec: 16 of 32 bytes are enough to be unique in one installation.
func digestOf(spec []byte) []byte {
	sum := sha256.Sum256(spec)
	return sum[:16]
}

// specCache has unpacked specs: the runs of a page share few of them.
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
