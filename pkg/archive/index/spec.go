package index

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/indelible-ci/indelible/pkg/archive/index/pack"
)

// A run has a copy of the Task or Pipeline that it ran in its status, often half of the record, and the same in all runs of it.
// Such a copy is stored once, under its digest, for as long as a run refers to it.

// specMark stands in a record for the text that was taken out. JSON has no such byte.
const specMark = '\x05'

// minSpec is how long a copy must be, in bytes, to be worth a row of its own and the reference to it.
const minSpec = 256

// split takes the copy out of a record, or nothing where it finds none: the two together are the record again. It says who made the run, too.
func split(record []byte) (rest, spec []byte, parent string) {
	var run struct {
		Metadata struct {
			OwnerReferences owners `json:"ownerReferences"`
		} `json:"metadata"`
		Status struct {
			TaskSpec     json.RawMessage `json:"taskSpec"`
			PipelineSpec json.RawMessage `json:"pipelineSpec"`
		} `json:"status"`
	}
	if json.Unmarshal(record, &run) != nil {
		return record, nil, ""
	}
	parent = run.Metadata.OwnerReferences.parent()
	if bytes.IndexByte(record, specMark) >= 0 {
		return record, nil, parent
	}
	for name, text := range map[string][]byte{`"taskSpec":`: run.Status.TaskSpec, `"pipelineSpec":`: run.Status.PipelineSpec} {
		// The spec of a run that has its Task written out is the same text, and comes first: either will do.
		at := bytes.Index(record, append([]byte(name), text...))
		if len(text) < minSpec || at < 0 {
			continue
		}
		at += len(name)
		rest = append(append(bytes.Clone(record[:at]), specMark), record[at+len(text):]...)
		return rest, text, parent
	}
	return record, nil, parent
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
