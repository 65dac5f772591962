package publisher

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/indelible-ci/indelible/pkg/result"
)

// What Tekton's entrypoint and controller agree on (tektoncd/pipeline pkg/termination and
// pkg/result).
const (
	// maxTermination is how much the kubelet reads of a termination message, in bytes.
	maxTermination = 4096
	// compressedPrefix marks a message that is base64 (unpadded) of raw deflate of the JSON.
	compressedPrefix = "tknz:"
	// maxInflated bounds a decompressed message, as in Tekton.
	maxInflated = 128 << 10
	// typeInternal marks Tekton's own entries, which are not results.
	typeInternal = 3

	keyReason    = "Reason"
	keyStartedAt = "StartedAt"
	keyExitCode  = "ExitCode"
)

// entry is one element of the message, kept verbatim; only its key matters here.
type entry struct {
	key string
	raw json.RawMessage
}

// rewriteTermination adds to Tekton's termination message that the results were not published, and
// why. With keepReason, Tekton's own Reason (Skipped, TimeoutExceeded, Cancelled) stays: the
// command failed, and the step's terminationReason should say that first.
//
// The file is mounted by the kubelet and therefore written in place. A crash in between leaves a
// message that Tekton cannot parse, and a failed container.
func rewriteTermination(path, explanation string, keepReason bool) error {
	old, err := readTermination(path)
	if err != nil {
		return fmt.Errorf("read termination message: %w", err)
	}
	const flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC | syscall.O_NONBLOCK
	f, err := os.OpenFile(path, flags, 0o666) //nolint:gosec // G302: as the kubelet and Tekton create it
	if err != nil {
		return fmt.Errorf("write termination message: %w", err)
	}
	_, err = f.Write(terminationMessage(old, explanation, keepReason))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write termination message: %w", err)
	}
	return nil
}

func readTermination(path string) ([]byte, error) {
	f, _, err := openRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxInflated))
}

// terminationMessage returns the new content: the old entries, except those replaced, plus the
// explanation, in at most maxTermination bytes. If it does not fit, other entries are dropped,
// largest first; Tekton's times, codes and reason stay.
func terminationMessage(old []byte, explanation string, keepReason bool) []byte {
	var kept []entry
	hasReason := false
	for _, e := range parseTermination(old) {
		switch {
		case e.key == result.TerminationMessageKey, e.key == keyReason && !keepReason:
			continue
		case e.key == keyReason:
			hasReason = true
		}
		kept = append(kept, e)
	}
	if !hasReason {
		kept = append(kept, newEntry(keyReason, result.TerminationReasonNotPublished, typeInternal))
	}
	// Without a type: Tekton hides internal entries.
	kept = append(kept, newEntry(result.TerminationMessageKey, explanation, 0))
	for {
		out := encodeEntries(kept)
		if len(out) <= maxTermination {
			return out
		}
		i := dispensable(kept)
		if i < 0 {
			// No entrypoint writes entries this large; the explanation matters more.
			return encodeEntries(kept[len(kept)-1:])
		}
		kept = append(kept[:i], kept[i+1:]...)
	}
}

// dispensable returns the index of the largest entry that may be dropped, or -1.
func dispensable(entries []entry) int {
	largest := -1
	for i, e := range entries {
		switch e.key {
		case keyStartedAt, keyExitCode, keyReason, result.TerminationMessageKey:
			continue
		}
		if largest < 0 || len(e.raw) > len(entries[largest].raw) {
			largest = i
		}
	}
	return largest
}

// parseTermination reads a message. Malformed entries are dropped: Tekton could not use them,
// either.
func parseTermination(msg []byte) []entry {
	if packed, ok := bytes.CutPrefix(msg, []byte(compressedPrefix)); ok {
		msg = inflate(packed)
	}
	var raws []json.RawMessage
	if json.Unmarshal(msg, &raws) != nil {
		return nil
	}
	var out []entry
	for _, raw := range raws {
		var e struct {
			Key string `json:"key"`
		}
		if json.Unmarshal(raw, &e) == nil && e.Key != "" {
			out = append(out, entry{key: e.Key, raw: raw})
		}
	}
	return out
}

// inflate returns nil for malformed input.
func inflate(packed []byte) []byte {
	r := flate.NewReader(base64.NewDecoder(base64.RawStdEncoding, bytes.NewReader(packed)))
	out, err := io.ReadAll(io.LimitReader(r, maxInflated+1))
	if err != nil || len(out) > maxInflated {
		return nil
	}
	return out
}

func newEntry(key, value string, kind int) entry {
	return entry{key: key, raw: encodeJSON(struct {
		Key   string `json:"key"`
		Value string `json:"value"`
		Type  int    `json:"type,omitempty"`
	}{key, value, kind})}
}

func encodeEntries(entries []entry) []byte {
	raws := make([]json.RawMessage, len(entries))
	for i, e := range entries {
		raws[i] = e.raw
	}
	return encodeJSON(raws)
}

// encodeJSON is json.Marshal without HTML escaping, which would write each < and > as six bytes. It
// is for values that always encode: strings, numbers, and JSON that was made or parsed here.
func encodeJSON(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("publisher: encode %T: %v", v, err))
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}
